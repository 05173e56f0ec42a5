/// What the design says is good, written down simply and apart from the code under test: it sees only what was
/// really written, by its meaning.
struct Reference {
    struct Token {
        var number: UInt8
        /// Made by LOGIN or ROTATE.
        var isForced: Bool
        var confirmedAt: Int?
    }

    /// By generation, oldest first.
    private(set) var tokens: [Token]
    private(set) var isEnded = false
    private(set) var absoluteEnd: Int
    /// How often LOGIN, ROTATE or an end came between.
    private(set) var interruptions: UInt8 = 0
    /// Tokens whose death was acknowledged to somebody, one bit each.
    private(set) var acknowledgedDead: UInt16 = 0
    /// The last LOGIN: the tokens that were good then, one bit each, the one it gave out, until when it is answered alike.
    private(set) var login: (from: UInt16, to: UInt8, until: Int)?

    init(absoluteEnd: Int) {
        tokens = [Token(number: 0, isForced: false, confirmedAt: -Ticks.rotationAfter)]
        self.absoluteEnd = absoluteEnd
    }

    var current: Token { tokens[tokens.count - 1] }
    var forcedGeneration: Int { tokens.lastIndex { $0.isForced } ?? 0 }
    func generation(of number: UInt8) -> Int? { tokens.firstIndex { $0.number == number } }
    func isOver(at now: Int) -> Bool { isEnded || now >= absoluteEnd }

    /// S1, in one sentence: current, pending, or previous and not retired.
    func accepts(_ number: UInt8, at now: Int) -> Bool {
        if isOver(at: now) { return false }
        if number == current.number { return true }
        guard tokens.count > 1, tokens[tokens.count - 2].number == number, !current.isForced else { return false }
        guard let confirmed = current.confirmedAt else { return true }
        return now < confirmed + Ticks.overlap
    }

    /// The successor that the holder of this token must be told: while it is pending, and then no more.
    func successorToTell(_ number: UInt8) -> UInt8? {
        guard tokens.count > 1, tokens[tokens.count - 2].number == number, !current.isForced,
            current.confirmedAt == nil
        else { return nil }
        return current.number
    }

    /// What an access by this token may be answered at this moment.
    func rights(of number: UInt8, at now: Int) -> Rights {
        guard accepts(number, at: now) else { return .refusal }
        return .acceptance(successor: successorToTell(number))
    }

    /// Answers to an access, one bit each: a refusal, an acceptance without a successor, and with each of them.
    struct Rights: OptionSet {
        var rawValue: UInt32 = 0

        static let refusal = Rights(rawValue: 1)
        static func acceptance(successor: UInt8?) -> Rights {
            Rights(rawValue: 2 << (successor.map { UInt32($0) + 1 } ?? 0))
        }
        /// Any of them.
        var accepts: Bool { rawValue > 1 }

        func appendKey(to key: inout [UInt8]) {
            for shift in [UInt32(0), 8, 16] { key.append(UInt8(truncatingIfNeeded: rawValue >> shift)) }
        }
    }

    /// S4: whether the return of this token may end the session.
    func mayEndSession(_ number: UInt8, at now: Int) -> Bool {
        guard let generation = generation(of: number), generation >= forcedGeneration, generation + 1 < tokens.count,
            let replaced = tokens[generation + 1].confirmedAt
        else { return false }
        return now >= replaced + Ticks.overlap + Ticks.grace
    }

    // MARK: What was written

    mutating func confirmed(_ number: UInt8, at now: Int) -> Violation? {
        guard number == current.number, current.confirmedAt == nil else {
            return Violation(invariant: .s1, detail: "token \(number) was confirmed and is not pending")
        }
        tokens[tokens.count - 1].confirmedAt = now
        return nil
    }

    mutating func rotated(_ number: UInt8, to successor: UInt8) -> Violation? {
        guard !isEnded else { return Violation(invariant: .s6, detail: "a rotation brought an ended session back") }
        guard number == current.number, current.confirmedAt != nil else {
            return Violation(invariant: .s2, detail: "token \(number) got a second successor, \(successor)")
        }
        tokens.append(Token(number: successor, isForced: false, confirmedAt: nil))
        return nil
    }

    mutating func forced(to successor: UInt8, at now: Int) -> Violation? {
        guard !isEnded else {
            return Violation(invariant: .s6, detail: "a forced rotation brought an ended session back")
        }
        tokens.append(Token(number: successor, isForced: true, confirmedAt: now))
        interruptions += 1
        login = nil
        return nil
    }

    /// A LOGIN was written.
    mutating func loggedIn(to: UInt8, decidedAt: Int, absoluteEnd: Int) {
        login = (good(in: tokens.dropLast(), at: decidedAt), to, decidedAt + Ticks.overlap)
        self.absoluteEnd = absoluteEnd
    }

    /// - Parameter login: of another subject, which leads to another session.
    mutating func ended(replacedBy login: (to: UInt8, decidedAt: Int)?) {
        self.login = login.map { (good(in: tokens[...], at: $0.decidedAt), $0.to, $0.decidedAt + Ticks.overlap) }
        isEnded = true
        interruptions += 1
    }

    /// The current token of these, and the one before it as long as that is good.
    private func good(in tokens: ArraySlice<Token>, at now: Int) -> UInt16 {
        guard let current = tokens.last else { return 0 }
        var good = UInt16(1) << UInt16(current.number)
        if tokens.count > 1, !current.isForced, current.confirmedAt.map({ now < $0 + Ticks.overlap }) ?? true {
            good |= 1 << UInt16(tokens[tokens.endIndex - 2].number)
        }
        return good
    }

    /// Whether a LOGIN with this token repeats the last one.
    func repeatsLogin(_ number: UInt8) -> Bool { (login?.from ?? 0) >> UInt16(number) & 1 == 1 }

    /// A LOGIN, ROTATE or REVOKE was acknowledged: what is dead now must stay dead.
    mutating func acknowledge() {
        for (generation, token) in tokens.enumerated() where isEnded || generation < forcedGeneration {
            acknowledgedDead |= 1 << UInt16(token.number)
        }
    }

    func isAcknowledgedDead(_ number: UInt8) -> Bool { acknowledgedDead >> UInt16(number) & 1 == 1 }

    func appendKey(to key: inout [UInt8]) {
        key.append(UInt8(tokens.count))
        for token in tokens {
            key.append(token.number << 1 | (token.isForced ? 1 : 0))
            key.append(UInt8(clamping: (token.confirmedAt ?? -9) + 10))
        }
        key += [isEnded ? 1 : 0, UInt8(clamping: absoluteEnd), interruptions]
        key += [UInt8(truncatingIfNeeded: acknowledgedDead >> 8), UInt8(truncatingIfNeeded: acknowledgedDead)]
        if let login {
            key += [UInt8(truncatingIfNeeded: login.from >> 8), UInt8(truncatingIfNeeded: login.from)]
            key += [login.to, UInt8(clamping: login.until + 1)]
        } else {
            key.append(0)
        }
    }
}
