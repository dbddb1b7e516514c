// How a command speaks to the node that runs on the same home: over the socket `control` there, which only its user may open.
//
// A caller sends one request and hears progress, then one result. Ctrl-C is the caller's end of the connection: the node then
// stops the work. This module carries words and bytes; what they mean is decided elsewhere. It must never let another user
// in, wait for a caller that does not listen, or take memory without bound from one that says too much.
