import HostFiles
import Testing

@Suite("Threads and what joins them")
struct ThreadsTests {
    @Test("a bounded queue hands every element over once, in order for one consumer")
    func queueHandsOver() throws {
        let queue = BoundedQueue<Int>(countMax: 3)
        let sum = ConditionLock((count: 0, sum: 0, ordered: true, last: -1))
        let consumer = try #require(
            WorkerThread(name: "consumer") {
                while let number = queue.pop() {
                    sum.withLock {
                        $0 = ($0.count + 1, $0.sum + number, $0.ordered && number > $0.last, number)
                    }
                }
            })
        for number in 0..<10_000 { #expect(queue.push(number)) }
        queue.close()
        consumer.join()
        consumer.join()
        let result = sum.withLock { $0 }
        #expect(result.count == 10_000)
        #expect(result.sum == 10_000 * 9_999 / 2)
        #expect(result.ordered)
        #expect(!queue.push(1))
    }

    @Test("four producers and four consumers lose nothing")
    func manyThreads() throws {
        let queue = BoundedQueue<Int>(countMax: 7)
        let total = ConditionLock(0)
        let consumers = (0..<4).compactMap { _ in
            WorkerThread(name: "consumer") {
                while let number = queue.pop() { total.withLock { $0 += number } }
            }
        }
        let producers = (0..<4).compactMap { _ in
            WorkerThread(name: "producer") { for number in 1...2_000 { queue.push(number) } }
        }
        #expect(consumers.count == 4 && producers.count == 4)
        for thread in producers { thread.join() }
        queue.close()
        for thread in consumers { thread.join() }
        #expect(total.withLock { $0 } == 4 * 2_000 * 2_001 / 2)
    }

    @Test("a queue is bounded by weight, but lets one heavy element through")
    func weight() {
        let queue = BoundedQueue<Int>(countMax: 10, weightMax: 100)
        #expect(queue.tryPush(1, weight: 1_000))
        #expect(!queue.tryPush(2, weight: 1))
        #expect(queue.pop() == 1)
        #expect(queue.tryPush(3, weight: 60))
        #expect(!queue.tryPush(4, weight: 41))
        #expect(queue.tryPush(5, weight: 40))
        #expect(queue.count == 2)
        queue.cancel()
        #expect(queue.pop() == nil)
    }

    @Test("closing a full queue frees the producer that waits")
    func closeFreesProducer() throws {
        let queue = BoundedQueue<Int>(countMax: 1)
        queue.push(1)
        let refused = ConditionLock(false)
        let producer = try #require(
            WorkerThread(name: "producer") {
                if !queue.push(2) { refused.withLock { $0 = true } }
            })
        queue.close()
        producer.join()
        #expect(refused.withLock { $0 })
        #expect(queue.pop() == 1)
        #expect(queue.pop() == nil)
    }

    @Test("a wait with a time-out ends without a change")
    func timeout() {
        let lock = ConditionLock(0)
        let answer: Int? = lock.wait(milliseconds: 20) { $0 == 1 ? 1 : nil }
        #expect(answer == nil)
    }

    @Test("a look at a lock's state wakes nobody, nor does a change that says so; any other change does")
    func wakes() throws {
        let lock = ConditionLock((looks: 0, isOver: false))
        let waiter = try #require(
            WorkerThread(name: "waiter") {
                lock.wait { state -> Void? in
                    state.looks += 1
                    return state.isOver ? () : nil
                }
            })
        while lock.read({ $0.looks }) == 0 { sleep(milliseconds: 1) }
        for _ in 0..<50 {
            #expect(lock.read { !$0.isOver })
            lock.withLock(wakes: false) { _ in }
        }
        sleep(milliseconds: 20)
        // The system may wake a thread for no reason, but not often.
        #expect(lock.read { $0.looks } < 5)
        lock.withLock { $0.isOver = true }
        waiter.join()
        #expect(lock.read { $0.looks } > 1)
    }

    @Test("a byte budget is never exceeded, and gives what there is to one that wants more")
    func budget() throws {
        let budget = ByteBudget(100)
        #expect(budget.acquire(1_000) == 100)
        #expect(!budget.tryAcquire(1))
        let got = ConditionLock(0)
        let waiter = try #require(
            WorkerThread(name: "waiter") { got.withLock { $0 = budget.acquire(60) ?? -1 } })
        budget.release(100)
        waiter.join()
        #expect(got.withLock { $0 } == 60)
        #expect(budget.free == 40)
        budget.cancel()
        #expect(budget.acquire(1) == nil)
    }
}
