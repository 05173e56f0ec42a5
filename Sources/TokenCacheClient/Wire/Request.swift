/// A command as RESP, ready to be sent. It may hold a token, hence it prints as `<request>`.
struct Request: Sendable, CustomStringConvertible, CustomReflectable {
    /// The daemon's limit on the elements of a command.
    static let maximumArguments = 1_024

    /// Why the request cannot be sent; `nil` for all that can.
    let refusal: TokenCacheError?
    private let storage: [UInt8]
    private let start: Int

    fileprivate init(_ writer: consuming RequestWriter) {
        // Taken out, not copied.
        var storage: [UInt8] = []
        swap(&storage, &writer.storage)
        // `*`, the count and a line end, right before the first argument.
        var at = RequestWriter.headerSpace - 1
        storage[at] = 0x0a
        storage[at - 1] = 0x0d
        at -= 2
        var rest = min(writer.count, Self.maximumArguments)
        repeat {
            storage[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            at -= 1
        } while rest > 0
        storage[at] = UInt8(ascii: "*")
        start = at
        self.storage = storage
        refusal =
            (1...Self.maximumArguments).contains(writer.count)
            ? nil : .badArgument(reason: "a command has 1 to \(Self.maximumArguments) parts")
    }

    /// Bytes on the wire.
    var count: Int { storage.count - start }

    /// The bytes, for the time of the call.
    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try storage.withUnsafeBytes { bytes in
            Result { () throws(E) in try body(UnsafeRawBufferPointer(rebasing: bytes[start...])) }
        }.get()
    }

    var description: String { "<request>" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Writes a command argument by argument.
struct RequestWriter {
    /// Room for `*1024\r\n`, which is written last.
    fileprivate static let headerSpace = 7

    fileprivate var storage: [UInt8] = []
    fileprivate private(set) var count = 0

    init(_ name: StaticString) {
        storage.reserveCapacity(256)
        for _ in 0..<Self.headerSpace { storage.append(0) }
        append(name)
    }

    init(arguments: [[UInt8]]) {
        for _ in 0..<Self.headerSpace { storage.append(0) }
        for argument in arguments { append(argument) }
    }

    mutating func append(_ word: StaticString) {
        begin(word.utf8CodeUnitCount)
        storage.append(contentsOf: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
        end()
    }

    mutating func append(_ bytes: [UInt8]) {
        begin(bytes.count)
        storage.append(contentsOf: bytes)
        end()
    }

    mutating func append(_ text: String) {
        let text = text.utf8
        begin(text.count)
        storage.append(contentsOf: text)
        end()
    }

    /// The token, or an empty argument for none.
    mutating func append(_ token: SessionToken?) {
        append(token?.revealedBytes ?? [])
    }

    /// An option with its duration, in whole milliseconds, rounded up; nothing if there is none.
    mutating func append(_ option: StaticString, _ duration: Duration?) {
        guard let duration else { return }
        append(option)
        append("\(duration.wholeMilliseconds)ms")
    }

    /// An option with its text; nothing if there is none.
    mutating func append(_ option: StaticString, _ text: String?) {
        guard let text else { return }
        append(option)
        append(text)
    }

    /// `DATA field value …`; nothing if there are none.
    mutating func append(_ data: SessionData) {
        guard !data.isEmpty else { return }
        append("DATA")
        for field in data.fields {
            append(field.name)
            append(field.value)
        }
    }

    /// `DATA field …`, with none for all; nothing if there is no selection.
    mutating func append(_ selection: DataSelection?) {
        guard let selection else { return }
        append("DATA")
        for name in selection.names { append(name) }
    }

    consuming func finished() -> Request { Request(self) }

    private mutating func begin(_ length: Int) {
        count += 1
        storage.append(UInt8(ascii: "$"))
        appendDigits(of: length)
        end()
    }

    private mutating func end() {
        storage.append(0x0d)
        storage.append(0x0a)
    }

    private mutating func appendDigits(of number: Int) {
        if number >= 10 { appendDigits(of: number / 10) }
        storage.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
    }
}
