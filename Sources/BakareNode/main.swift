print("bakare-node")
