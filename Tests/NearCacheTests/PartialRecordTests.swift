import SeededRandom
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// A session's life with every token that was ever given out.
private struct Life {
    var policy: TokenPolicy
    var now = SessionRecord.start
    var record: SessionRecord
    var tokens: [(verifier: Verifier, digest: Digest)] = []
    var random: SeededRandom
    let crypto: CryptoContext

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        crypto = try CryptoContext()
        policy = TokenPolicy(
            rotationAfter: 1_000, rotationOverlap: 300, onReplay: random.chance(50) ? .revoke : .reject,
            replayGrace: 500, idle: 20_000, absolute: 10_000_000, touchInterval: 400)
        record = .fresh()
        try token()
        record = SessionRecord(
            token: tokens[0].digest, subject: random.chance(50) ? Array("ann".utf8) : [], idle: policy.idle,
            absolute: policy.absolute, now: now)
    }

    private mutating func token() throws {
        let verifier: Verifier = random.fixed()
        tokens.append((verifier, try crypto.digest(verifier)))
    }

    /// One step of what happens to sessions.
    mutating func step() throws {
        now += Int64.random(in: 0...1_200, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
            if record.confirmedAt == nil { return record = record.confirmed(now: now) }
            try token()
            record = record.rotated(
                to: tokens[tokens.count - 1].digest, sealed: random.fixed(), policy: policy, now: now)
        case 5..<7:
            if record.confirmedAt == nil { record = record.confirmed(now: now) }
        case 7:
            try token()
            record = record.forced(
                to: tokens[tokens.count - 1].digest, csrfSalt: random.fixed(), pageGuest: random.fixed(),
                policy: policy, now: now)
            if random.chance(50) {
                record.login = LoginMemo(
                    sid: random.fixed(), digest: record.current, sealed: random.fixed(), subjectDigest: random.fixed(),
                    until: now + 300)
            }
        default: record.lastAccess = now
        }
    }
}

@Suite("A cached session decides as the stored one does")
struct PartialRecordTests {
    private static func isAccepting(_ decision: AccessDecision) -> Bool {
        switch decision {
        case .accept, .acceptAwaitingSuccessor, .acceptRecovering, .confirm, .rotate: true
        case .refuseReplayed, .endReplayed, .refuseUnknown: false
        }
    }

    private static func hash(_ record: SessionRecord) -> [[UInt8]: [UInt8]] {
        Dictionary(uniqueKeysWithValues: RecordCodec.encode(record).map { ($0.name, $0.value) })
    }

    private static func apply(
        _ change: (set: [RecordField], delete: [[UInt8]]), to hash: [[UInt8]: [UInt8]]
    ) -> [[UInt8]: [UInt8]] {
        var hash = hash
        for field in change.set { hash[field.name] = field.value }
        for name in change.delete { hash[name] = nil }
        return hash
    }

    @Test("every token ever given out, and forged ones, now and later", arguments: 0..<16)
    func decisions(_ seed: UInt64) throws {
        var life = try Life(seed: seed)
        var seen: Set<String> = []
        for _ in 0..<60 {
            try life.step()
            let (record, policy) = (life.record, life.policy)
            let forged: Verifier = life.random.fixed()
            let presented = life.tokens + [(forged, try CryptoContext().digest(forged))]
            for knowsVerifier in [true, false] {
                let details = try NearCacheDetails(record: record, data: [], policy: policy, now: life.now)
                let current = life.tokens[life.tokens.count - 1].verifier
                defer { details?.free() }
                let entry = try #require(
                    NearCacheEntry(
                        record, sid: SessionID(),
                        verifier: knowsVerifier && record.confirmedAt != nil ? current : nil, details: details))
                for (verifier, digest) in presented {
                    guard let partial = try entry.record(presented: verifier, digest: digest, crypto: life.crypto)
                    else { continue }
                    for later in [0, 1, 150, 299, 300, 301, 400, 999, 1_000, 5_000] as [Milliseconds] {
                        let now = life.now + later
                        let here = partial.decideAccess(digest: digest, policy: policy, now: now)
                        let there = record.decideAccess(digest: digest, policy: policy, now: now)
                        // A refusal is not left to the cache, so only what is accepted must agree, in both directions.
                        guard Self.isAccepting(here) || Self.isAccepting(there) else { continue }
                        seen.insert("\(here)")
                        guard here == there else {
                            Issue.record("the cache: \(here), the record: \(there), \(later) ms later")
                            return
                        }
                        compareWrites(here, partial, record, &life, now: now)
                    }
                }
            }
        }
        #expect(seen.count >= 5, "the lives were too dull: \(seen)")
    }

    /// What a rotation or confirmation decided on the cached copy makes of the stored hash.
    private func compareWrites(
        _ decision: AccessDecision, _ partial: SessionRecord, _ record: SessionRecord, _ life: inout Life,
        now: UnixMilliseconds
    ) {
        let fromPartial: SessionRecord
        let fromRecord: SessionRecord
        switch decision {
        case .confirm:
            fromPartial = partial.confirmed(now: now)
            fromRecord = record.confirmed(now: now)
        case .rotate:
            let successor: Digest = life.random.fixed()
            let sealed: SealedVerifier = life.random.fixed()
            fromPartial = partial.rotated(to: successor, sealed: sealed, policy: life.policy, now: now)
            fromRecord = record.rotated(to: successor, sealed: sealed, policy: life.policy, now: now)
        default: return
        }
        let stored = Self.hash(record)
        let byCache = Self.apply(RecordCodec.accessFields(of: fromPartial), to: stored)
        let byRecord = Self.apply(RecordCodec.difference(from: record, to: fromRecord), to: stored)
        #expect(byRecord == Self.hash(fromRecord))
        #expect(byCache == byRecord, "\(decision) from the cache leaves another hash")
        #expect(partial.revision == record.revision)
        #expect(fromPartial.expireAt == fromRecord.expireAt)
    }

    @Test("without a history nothing is known of a token that is not the current one")
    func unknown() throws {
        var random = SeededRandom(seed: 3)
        let crypto = try CryptoContext()
        let verifier: Verifier = random.fixed()
        let digest = try crypto.digest(verifier)
        var record = SessionRecord.fresh()
        record.current = digest
        for known in [verifier, nil] {
            let entry = try #require(NearCacheEntry(record, sid: SessionID(), verifier: known, details: nil))
            #expect(try entry.record(presented: random.fixed(), digest: random.fixed(), crypto: crypto) == nil)
            #expect(try entry.record(presented: verifier, digest: digest, crypto: crypto)?.current == digest)
        }
    }

    @Test("neither zeros nor the digest that stands in its place are taken for a verifier that was never presented")
    func notYetPresented() throws {
        var random = SeededRandom(seed: 4)
        let crypto = try CryptoContext()
        let verifier: Verifier = random.fixed()
        var record = SessionRecord.fresh()
        record.current = try crypto.digest(verifier)
        var entry = try #require(NearCacheEntry(record, sid: SessionID(), verifier: nil, details: nil))
        let inPlace = try #require(Verifier(bytes: record.current.bytes + [UInt8](repeating: 0, count: 16)))
        for presented in [Verifier(), inPlace] {
            let digest = try crypto.digest(presented)
            #expect(!entry.isCurrent(presented) && !entry.isConfirmedCurrent(presented))
            #expect(try entry.record(presented: presented, digest: digest, crypto: crypto) == nil)
            entry.learn(presented, digest: digest)
            #expect(entry.verifier == nil)
        }
        entry.learn(verifier, digest: record.current)
        #expect(entry.isConfirmedCurrent(verifier), "the current token was presented and is not known")
    }

    @Test("digits are the current token's exactly where what they mean is; in upper case they are for the plain way")
    func digits() throws {
        var random = SeededRandom(seed: 5)
        for round in 0..<2_000 {
            let verifier: Verifier = random.fixed()
            var record = SessionRecord.fresh()
            if round % 7 == 0 { record.confirmedAt = nil }
            let known = round % 5 == 0 ? nil : verifier
            var entry = try #require(NearCacheEntry(record, sid: SessionID(), verifier: known, details: nil))
            var text = verifier.withUnsafeBytes { Hex.encode($0) }
            let isChanged = round % 3 == 0
            if isChanged {
                text[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            var meant = Verifier()
            let isHex = text.withUnsafeBytes { text in meant.withUnsafeMutableBytes { Hex.decode(text, into: $0) } }
            let plain = isHex && !text.contains(where: { (65...70).contains($0) }) && entry.isConfirmedCurrent(meant)
            let found = text.withUnsafeBytes { $0.baseAddress.map { entry.isConfirmedCurrent(digits: $0) } }
            #expect(found == plain, "round \(round)")
            #expect(plain == (known != nil && record.confirmedAt != nil) || isChanged)
        }
    }

    @Test("a history comes back from its block as it was put in", arguments: 0..<8)
    func histories(_ seed: UInt64) throws {
        var life = try Life(seed: seed)
        for _ in 0..<100 {
            try life.step()
            life.record.bindings = Bindings()
            let code = [UInt8](repeating: 7, count: 16)
            if life.random.chance(30) { life.record.bindings.ip = Binding(bytes: [2, 65, 66, 24] + code) }
            if life.random.chance(30) { life.record.bindings.userAgent = Binding(bytes: [1, 65, 0] + code) }
            let data = life.random.chance(50) ? [RecordField("cart", life.random.bytes(9)), RecordField("x", [])] : []
            let compacted = life.record.compacted(policy: life.policy, now: life.now)
            let details = try NearCacheDetails(record: life.record, data: data, policy: life.policy, now: life.now)
            defer { details?.free() }
            var read = life.record
            (read.remembered, read.previous, read.forcedGeneration) = ([], nil, 0)
            (read.csrfSalt, read.bindings) = (nil, Bindings())
            details?.complete(&read)
            #expect(read == compacted)
            #expect((details?.data ?? []) == data)
            #expect(details?.csrfSalt == compacted.csrfSalt)
            #expect((details?.bindings ?? Bindings()) == compacted.bindings)
            #expect((details?.isBound ?? false) == !compacted.bindings.isEmpty)
            #expect(Array(details?.subject ?? UnsafeRawBufferPointer(start: nil, count: 0)) == life.record.subject)
        }
    }
}

@Suite("A cached tombstone")
struct CachedTombstoneTests {
    @Test("stands until it ends in Redis, accepts nothing, and says why", arguments: EndReason.allCases)
    func stands(_ reason: EndReason) throws {
        let until = SessionRecord.start + 600_000
        let entry = try #require(NearCacheEntry(Tombstone(reason: reason, until: until), sid: SessionID()))
        #expect(entry.tombstone(at: until - 1) == Tombstone(reason: reason, until: until))
        #expect(entry.tombstone(at: until) == nil)
        #expect(!entry.isCurrent(Verifier()) && !entry.isConfirmedCurrent(Verifier()) && entry.verifier == nil)
        let crypto = try CryptoContext()
        let record = try entry.record(
            presented: Verifier(), digest: try crypto.digest(Verifier()), crypto: crypto)
        #expect(record == nil)
    }

    @Test("takes the place of what was known of the session")
    func replaces() throws {
        let cache = try #require(NearCache(maxBytes: 1 << 16))
        var random = SeededRandom(seed: 5)
        let sid: SessionID = random.fixed()
        let verifier: Verifier = random.fixed()
        cache.insert(
            .fresh(subject: Array("ann".utf8)), sid: sid, verifier: verifier, data: [], policy: TokenPolicy(),
            now: SessionRecord.start)
        cache.insert(Tombstone(reason: .login, until: SessionRecord.start + 1), sid: sid)
        let index = try #require(cache.find(sid))
        #expect(cache[index].isEnded && !cache[index].isCurrent(verifier))
        #expect(cache.count == 1 && cache.bytes == EntryTable.bytesPerEntry)
    }
}
