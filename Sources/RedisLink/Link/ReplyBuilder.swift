internal import CHiredis

/// Makes replies out of what hiredis's reader finds, as it finds it: without its own objects, of which a session's
/// record would need twenty.
///
/// The reader reports an array before its elements, so a stack of the arrays under way says where each element goes.
final class ReplyBuilder {
    /// Elements that the reply may still have, over all its arrays.
    private(set) var elementsLeft: Int
    private let maxElements: Int
    private var open: [Frame] = []
    private var finished: RedisReply?

    private struct Frame {
        var missing: Int
        /// As long as every element is a string.
        var strings: RedisStrings?
        var replies: [RedisReply] = []

        var reply: RedisReply { strings.map { .array(RedisArray($0)) } ?? .array(RedisArray(replies)) }

        mutating func append(_ reply: RedisReply) {
            if let strings {
                self.strings = nil
                replies = Array(RedisArray(strings))
            }
            replies.append(reply)
        }
    }

    /// Room that an announced count is given before its elements are there.
    private static let believedElements = 256

    init(maxElements: Int) {
        self.maxElements = maxElements
        elementsLeft = maxElements
    }

    /// The reply that the reader has found the end of.
    func takeReply() -> RedisReply? {
        elementsLeft = maxElements
        defer { finished = nil }
        return finished
    }

    private func add(_ reply: RedisReply) {
        guard !open.isEmpty else { return finished = reply }
        open[open.count - 1].append(reply)
        closeFinished()
    }

    private func add(string: UnsafeRawBufferPointer) {
        guard let last = open.indices.last, open[last].strings != nil else { return add(.bulk(Array(string))) }
        open[last].strings?.append(string)
        closeFinished()
    }

    private func begin(count: Int) -> Bool {
        guard count >= 0, count <= elementsLeft else { return false }
        elementsLeft -= count
        let strings = RedisStrings(capacity: min(count, Self.believedElements))
        open.append(Frame(missing: count + 1, strings: strings))
        closeFinished()
        return true
    }

    /// One element of the innermost array is there, or its header.
    private func closeFinished() {
        while let last = open.indices.last {
            open[last].missing -= 1
            guard open[last].missing == 0 else { return }
            let reply = open.removeLast().reply
            guard let outer = open.indices.last else { return finished = reply }
            open[outer].append(reply)
        }
    }

    // MARK: What the reader calls

    /// Every function returns its context: the reader keeps what it is given, and asks nothing of it but not to be null.
    private typealias Context = UnsafeMutableRawPointer

    @inline(__always)
    private static func with(
        _ task: UnsafePointer<redisReadTask>?, _ body: (ReplyBuilder, Int32) -> Bool
    ) -> Context? {
        guard let task, let context = task.pointee.privdata else { return nil }
        let isTaken = Unmanaged<ReplyBuilder>.fromOpaque(context)._withUnsafeGuaranteedRef {
            body($0, task.pointee.type)
        }
        return isTaken ? context : nil
    }

    static var functions: redisReplyObjectFunctions {
        redisReplyObjectFunctions(
            createString: { task, start, length in
                ReplyBuilder.with(task) { builder, type in
                    let text = UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : length)
                    switch type {
                    case REDIS_REPLY_STATUS: builder.add(.status(String(decoding: text, as: UTF8.self)))
                    case REDIS_REPLY_ERROR: builder.add(.error(String(decoding: text, as: UTF8.self)))
                    default: builder.add(string: text)
                    }
                    return true
                }
            },
            createArray: { task, count in
                ReplyBuilder.with(task) { builder, _ in builder.begin(count: Int(count)) }
            },
            createInteger: { task, value in
                ReplyBuilder.with(task) { builder, _ in
                    builder.add(.integer(value))
                    return true
                }
            },
            createNil: { task in
                ReplyBuilder.with(task) { builder, _ in
                    builder.add(.null)
                    return true
                }
            },
            freeObject: { _ in })
    }
}
