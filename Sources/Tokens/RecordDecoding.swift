internal import TokenCrypto
internal import UnixTime

extension RecordCodec {
    /// Reads what `HGETALL` answered for a session's key: names and values in turn, data fields included.
    /// - Returns: the session and its data, names without their mark. An empty answer is an absent session.
    public static func decode(_ hash: [[UInt8]]) throws(RecordError) -> (session: StoredSession, data: [RecordField]) {
        var ends: [Int] = []
        for string in hash { ends.append((ends.last ?? 0) + string.count) }
        return try decode(Array(hash.joined()), ends: ends)
    }

    /// The same, the strings one behind the other.
    /// - Parameter ends: where each of them ends in `bytes`, in rising order.
    public static func decode(
        _ bytes: [UInt8], ends: [Int]
    ) throws(RecordError) -> (session: StoredSession, data: [RecordField]) {
        guard !ends.isEmpty else { return (.absent, []) }
        let fields = FieldTable(bytes: bytes, ends: ends)
        try checkVersion(fields)
        if let reason = fields["z"] { return (.ended(try tombstone(reason, fields)), []) }
        return (.live(try record(fields)), fields.data)
    }

    /// The fields that ``decodeFacts(_:)`` reads, but for data.
    public static let factFields: [[UInt8]] = "vzgtaieuN0123".utf8.map { [$0] }

    /// Reads what is told of a session to those who look at many.
    /// - Parameter hash: names and values in turn, of at least ``factFields`` as far as the session has them.
    /// - Returns: the facts, and the data fields among what was read; nil where there is no living session.
    public static func decodeFacts(
        _ hash: [[UInt8]]
    ) throws(RecordError) -> (facts: SessionFacts, data: [RecordField])? {
        guard !hash.isEmpty else { return nil }
        var ends: [Int] = []
        for string in hash { ends.append((ends.last ?? 0) + string.count) }
        let fields = FieldTable(bytes: Array(hash.joined()), ends: ends)
        try checkVersion(fields)
        guard fields["z"] == nil else { return nil }
        let facts = SessionFacts(
            subject: subject(fields), generation: try fields.number("g"), created: try fields.time("t"),
            lastAccess: try fields.time("a"), idle: try fields.number("i"), absoluteEnd: try fields.time("e"),
            authTime: fields["u"] == nil ? nil : try fields.time("u"), loginNumber: try fields.optionalNumber("N"))
        return (facts, fields.data)
    }

    private static func checkVersion(_ fields: borrowing FieldTable) throws(RecordError) {
        let version = try fields.number("v")
        guard version <= Self.version else { throw .newerVersion(version) }
        guard version >= 1 else { throw .damaged(field: "v") }
    }

    private static func subject(_ fields: borrowing FieldTable) -> [UInt8] {
        var subject: [UInt8] = []
        for piece in UInt8(ascii: "0")...UInt8(ascii: "3") { subject += fields[piece] ?? [] }
        return subject
    }

    private static func tombstone(_ reason: ArraySlice<UInt8>, _ fields: borrowing FieldTable) throws(RecordError)
        -> Tombstone
    {
        // One that a later daemon knows.
        let reason = EndReason(rawValue: String(decoding: reason, as: UTF8.self)) ?? .admin
        var tombstone = Tombstone(
            reason: reason, login: try memo(fields), until: fields["e"] == nil ? nil : try fields.time("e"),
            csrfSalt: try fields.optional("X"))
        let marks = fields["o"] ?? []
        guard marks.count.isMultiple(of: 8), marks.count <= 8 * Tombstone.maxMarks else { throw .damaged(field: "o") }
        tombstone.marks = (0..<marks.count / 8).map { number(marks.dropFirst($0 * 8).prefix(8)) }
        return tombstone
    }

    private static func record(_ fields: borrowing FieldTable) throws(RecordError) -> SessionRecord {
        var record = SessionRecord(
            token: try fields.fixed("d"), subject: subject(fields), idle: try fields.number("i"), absolute: 0,
            now: try fields.time("t"))
        record.revision = try fields.number("r")
        record.confirmedAt = fields["c"] == nil ? nil : try fields.time("c")
        record.generation = try fields.number("g")
        record.lastAccess = try fields.time("a")
        record.absoluteEnd = try fields.time("e")
        record.forcedGeneration = try fields.optionalNumber("f") ?? 0
        if fields["p"] != nil {
            record.previous = PreviousToken(
                digest: try fields.fixed("p"), sealedSuccessor: try fields.fixed("s"),
                rotatedAt: try fields.time("n"))
        }
        record.remembered = try remembered(fields, created: record.created)
        record.login = try memo(fields)
        record.csrfSalt = try fields.optional("x")
        record.formerSalt = try fields.optional("X")
        record.pageGuest = try fields.optional("P")
        record.authTime = fields["u"] == nil ? nil : try fields.time("u")
        record.renewedByLogin = fields["q"] == nil ? nil : try fields.time("q")
        record.loginNumber = try fields.optionalNumber("N")
        record.isPersistent = try fields.optionalNumber("j").map { $0 == 1 }
        record.bindings = Bindings(ip: try binding(fields, "b"), userAgent: try binding(fields, "h"))
        guard record.generation >= 1, record.idle > 0, record.confirmedAt != nil || record.previous != nil else {
            throw .damaged(field: "g")
        }
        return record
    }

    private static func remembered(
        _ fields: borrowing FieldTable, created: UnixMilliseconds
    ) throws(RecordError) -> [RememberedToken] {
        guard let prefixes = fields["o"] else { return [] }
        let retirements = fields["w"] ?? []
        let count = prefixes.count / 8
        guard prefixes.count == count * 8, count <= SessionRecord.maxRemembered, retirements.count == count * 9 else {
            throw .damaged(field: "o")
        }
        return (0..<count).map { index in
            let retirement = retirements.dropFirst(index * 9)
            let retiredAt = created + Milliseconds(clamping: number(retirement.prefix(5)))
            return RememberedToken(
                prefix: number(prefixes.dropFirst(index * 8).prefix(8)), retiredAt: retiredAt,
                overlapEnd: retiredAt + Milliseconds(clamping: number(retirement.dropFirst(5).prefix(4))))
        }
    }

    private static func memo(_ fields: borrowing FieldTable) throws(RecordError) -> LoginMemo? {
        guard let sealed = fields["l"] else { return nil }
        let digests = fields["m"] ?? []
        guard sealed.count == 56, digests.count == 64,
            let verifier = SealedVerifier(bytes: sealed.prefix(48)),
            let digest = Digest(bytes: digests.prefix(32)), let subject = Digest(bytes: digests.suffix(32))
        else { throw .damaged(field: "l") }
        let step =
            fields["S"] == nil
            ? nil
            : LoginMemo.FirstStep(
                digest: try fields.fixed("D"), sealed: try fields.fixed("S"))
        return LoginMemo(
            sid: try fields.fixed("y"), digest: digest, sealed: verifier, subjectDigest: subject,
            until: UnixMilliseconds(Milliseconds(clamping: number(sealed.suffix(8)))), firstStep: step)
    }

    private static func binding(_ fields: borrowing FieldTable, _ name: Unicode.Scalar) throws(RecordError) -> Binding?
    {
        guard let bytes = fields[UInt8(truncatingIfNeeded: name.value)] else { return nil }
        guard let binding = Binding(bytes: bytes) else { throw .damaged(field: String(name)) }
        return binding
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The record's fields by their one-letter ASCII names, which are noted in one walk over the hash.
private struct FieldTable: ~Copyable {
    private let bytes: [UInt8]
    private let ends: [Int]
    /// Letter → index of its value among the strings; 0 where there is none. On the heap: half a kilobyte would be copied
    /// for each look into it.
    private var values = [Int32](repeating: 0, count: 128)
    private var hasData = false

    init(bytes: [UInt8], ends: [Int]) {
        self.bytes = bytes
        self.ends = ends
        var index = 0
        var start = 0
        while index + 1 < ends.count {
            let length = ends[index] - start
            if length > 0 {
                let letter = Int(bytes[start])
                if letter == Int(RecordCodec.dataMark) {
                    hasData = true
                } else if length == 1, letter < values.count {
                    values[letter] = Int32(clamping: index + 1)
                }
            }
            start = ends[index + 1]
            index += 2
        }
    }

    private func string(_ index: Int) -> ArraySlice<UInt8> { bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]] }

    /// The data fields, names without their mark.
    var data: [RecordField] {
        guard hasData else { return [] }
        return stride(from: 0, to: ends.count - 1, by: 2).compactMap { index in
            let name = string(index)
            guard name.first == RecordCodec.dataMark else { return nil }
            return RecordField(name: Array(name.dropFirst()), value: Array(string(index + 1)))
        }
    }

    subscript(_ letter: UInt8) -> ArraySlice<UInt8>? {
        guard Int(letter) < values.count, values[Int(letter)] > 0 else { return nil }
        return string(Int(values[Int(letter)]))
    }

    subscript(_ name: Unicode.Scalar) -> ArraySlice<UInt8>? { self[UInt8(truncatingIfNeeded: name.value)] }

    func number(_ name: Unicode.Scalar) throws(RecordError) -> Int64 {
        guard let number = try optionalNumber(name) else { throw .damaged(field: String(name)) }
        return number
    }

    func optionalNumber(_ name: Unicode.Scalar) throws(RecordError) -> Int64? {
        guard let text = self[name] else { return nil }
        // Strictly as it was written: digits, no sign, no leading zero.
        guard (1...19).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0") else {
            throw .damaged(field: String(name))
        }
        // Nineteen digits are less than 2^64.
        let number: UInt64? = text.withUnsafeBufferPointer { digits in
            var number: UInt64 = 0
            for digit in digits {
                let value = digit &- 0x30
                guard value < 10 else { return nil }
                number = number &* 10 &+ UInt64(value)
            }
            return number
        }
        guard let number, number <= UInt64(Int64.max) else { throw .damaged(field: String(name)) }
        return Int64(number)
    }

    /// A point in time before the year 5138.
    func time(_ name: Unicode.Scalar) throws(RecordError) -> UnixMilliseconds {
        let time = try number(name)
        guard time < 100_000_000_000_000 else { throw .damaged(field: String(name)) }
        return UnixMilliseconds(time)
    }

    func optional<Value: FixedBytes>(_ name: Unicode.Scalar) throws(RecordError) -> Value? {
        self[name] == nil ? nil : try fixed(name)
    }

    func fixed<Value: FixedBytes>(_ name: Unicode.Scalar) throws(RecordError) -> Value {
        guard let bytes = self[name], let value = Value(bytes: bytes) else { throw .damaged(field: String(name)) }
        return value
    }
}
