internal import CLinux
internal import Glibc

/// The limit: a bare epoll loop that answers without looking. It counts bytes, and for every so many it sends one
/// and the same answer. No server on this machine can be faster with a thread, a read and a write per readiness.
enum FixedAnswerServer {
    /// Stands for a program's path on the launcher's command line.
    static let name = "fixed-answer"
    private static let inputSize = 1 << 18
    private static let mostAnswers = 1024
    private static let eventsPerTurn = 512

    /// `SOCKET REQUEST-BYTES FILE-WITH-THE-ANSWER`. Returns only on failure.
    static func run(_ words: [String]) -> Int32 {
        guard words.count == 3, let requestSize = Int(words[1]), requestSize > 0, let answer = readFile(words[2]),
            !answer.isEmpty, var address = UnixSocket.address(words[0])
        else { return 64 }
        signal(SIGPIPE, SIG_IGN)
        let capacity = UnixSocket.allowDescriptors(20_000)
        let listener = UnixSocket.listen(&address, backlog: 4_096)
        let epoll = epoll_create1(0)
        guard listener >= 0, epoll >= 0, watch(listener, epoll) else { return 71 }
        serve(listener, epoll, requestSize: requestSize, answer: Array(answer.utf8), capacity: capacity)
    }

    private static func watch(_ descriptor: Int32, _ epoll: Int32) -> Bool {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0
    }

    private static func serve(
        _ listener: Int32, _ epoll: Int32, requestSize: Int, answer: [UInt8], capacity: Int
    ) -> Never {
        let input = UnsafeMutablePointer<UInt8>.allocate(capacity: inputSize)
        let output = UnsafeMutablePointer<UInt8>.allocate(capacity: answer.count * mostAnswers)
        for index in 0..<mostAnswers { (output + index * answer.count).update(from: answer, count: answer.count) }
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: eventsPerTurn)
        // Descriptor → bytes of a request that is not complete.
        let carried = UnsafeMutablePointer<Int>.allocate(capacity: capacity)
        carried.initialize(repeating: 0, count: capacity)
        while true {
            let count = epoll_wait(epoll, events, Int32(eventsPerTurn), -1)
            for position in 0..<Int(max(0, count)) {
                let descriptor = events[position].data.fd
                if descriptor == listener {
                    accept(listener, epoll, carried, capacity)
                    continue
                }
                let received = read(descriptor, input, inputSize)
                guard received > 0 else {
                    close(descriptor)
                    continue
                }
                let bytes = carried[Int(descriptor)] &+ received
                var answers = bytes / requestSize
                carried[Int(descriptor)] = bytes &- answers &* requestSize
                while answers > 0 {
                    let now = min(answers, mostAnswers)
                    if !writeAll(descriptor, output, now &* answer.count) { break }
                    answers &-= now
                }
            }
        }
    }

    private static func accept(
        _ listener: Int32, _ epoll: Int32, _ carried: UnsafeMutablePointer<Int>, _ capacity: Int
    ) {
        while true {
            // Blocking on purpose: a peer that does not read may hold it up, and ours always reads.
            let descriptor = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            guard descriptor >= 0 else { return }
            guard Int(descriptor) < capacity, watch(descriptor, epoll) else {
                close(descriptor)
                continue
            }
            carried[Int(descriptor)] = 0
        }
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var sent = 0
        while sent < count {
            let result = write(descriptor, bytes + sent, count &- sent)
            guard result > 0 else { return false }
            sent &+= result
        }
        return true
    }
}
