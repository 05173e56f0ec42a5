internal import EventLoop
public import RedisLink
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What a trial of Redis by an operator came to.
public struct ProbeReport: Sendable {
    /// Why a session could not be made, read and ended; nil where it could.
    public var fault: Unavailable?
    /// How long that took.
    public var took: Duration
    public var health: RedisHealth

    /// What the operator does about the fault.
    public var remedy: String { fault.map { KnownFault.remedy(for: $0.reason) } ?? "" }
}

/// PROBE: everything that sessions need of Redis, done for real with a session of nobody, which lives for ten seconds; in a
/// cluster at each master, as each has users, a disk and a memory of its own.
extension TokenService {
    /// How long the keys of a trial live.
    static let probeLifetime: Milliseconds = 10_000
    /// - Parameter done: called once, from the loop. What failed is in the report.
    public func probe(_ done: @escaping (ProbeReport) -> Void) {
        let servers = store.router.servers
        guard !servers.isEmpty else {
            let report = ProbeReport(fault: store.outage, took: .zero, health: RedisHealth())
            return store.later { done(report) }
        }
        // Side by side: where several are silent, one time-out is enough.
        var reports = [ProbeReport?](repeating: nil, count: servers.count)
        for (number, server) in servers.enumerated() {
            probe(server, number) { report in
                reports[number] = report
                let all = reports.compactMap { $0 }
                guard all.count == servers.count else { return }
                let faults = zip(servers, all).compactMap { server, report in
                    report.fault.map { servers.count > 1 ? $0.at(server.endpoint) : $0 }
                }
                done(
                    ProbeReport(
                        fault: faults.first, took: all.map(\.took).max() ?? .zero, health: .worst(of: all.map(\.health))
                    ))
            }
        }
    }

    private func probe(_ server: RedisNode, _ number: Int, _ done: @escaping (ProbeReport) -> Void) {
        let start = store.instant
        let finish = { [self] (fault: Unavailable?) in
            let took = start.duration(to: store.instant)
            // A Redis that did not answer the trial will not answer this.
            if let fault, fault.isSilence {
                return done(ProbeReport(fault: fault, took: took, health: RedisHealth()))
            }
            server.askHealth { done(ProbeReport(fault: fault, took: took, health: $0)) }
        }
        let (keys, isCluster) = (store.keys, store.isCluster)
        let makeSubject = { [self] in
            let subject: SessionID = try randomBytes()
            return try SubjectIndex(subject: subject.bytes, crypto: crypto)
        }
        draw(for: server, key: keys.session, { [self] in try randomBytes() }, or: finish) { [self] sid in
            draw(for: server, key: keys.captcha, { [self] in try randomBytes() }, or: finish) { [self] captcha in
                draw(
                    for: server, key: { keys.index($0, isCluster: isCluster).first ?? [] }, makeSubject, or: finish
                ) { [self] index in
                    do {
                        let verifier: Verifier = try randomBytes()
                        let record = SessionRecord(
                            token: try crypto.digest(verifier), subject: [], idle: Self.probeLifetime,
                            absolute: Self.probeLifetime, now: try server.serverTime ?? now())
                        ProbeTrial(
                            store: store, server: server, number: number, sid: sid, record: record, index: index,
                            captcha: captcha, nonce: try randomBytes()
                        ).run(finish)
                    } catch { finish(Unavailable(error)) }
                }
            }
        }
    }

    /// Draws a random name whose key a server has; it may have so few slots that none is found.
    private func draw<Name>(
        for server: RedisNode, key: @escaping (Name) -> [UInt8], _ make: @escaping () throws -> Name,
        or fail: @escaping (Unavailable?) -> Void, _ done: @escaping (Name) -> Void
    ) {
        NameDraw(later: store.later, make: make) { [store] in store.router.node(of: key($0)) === server }.begin {
            drawn in
            do {
                if let name = try drawn.get() { return done(name) }
                fail(Unavailable(reason: "it has so few slots that no key of them was found: it was not tried"))
            } catch { fail(Unavailable(error)) }
        }
    }
}

/// Draws names until one fits, a few in each turn of the loop: others' requests do not wait for all of them.
struct NameDraw<Name> {
    /// In all. Of a master that has a hundredth of the slots one is found.
    static var most: Int { 10_000 }
    static var perTurn: Int { 100 }

    /// Puts a body off to the next turn.
    let later: (@escaping () -> Void) -> Void
    let make: () throws -> Name
    let fits: (Name) -> Bool

    /// - Parameter done: called once, in a later turn; nil: none fits.
    func begin(_ done: @escaping (Result<Name?, any Error>) -> Void) { draw(left: Self.most, done) }

    private func draw(left: Int, _ done: @escaping (Result<Name?, any Error>) -> Void) {
        later {
            do {
                for _ in 0..<min(left, Self.perTurn) {
                    let name = try make()
                    if fits(name) { return done(.success(name)) }
                }
            } catch { return done(.failure(error)) }
            if left <= Self.perTurn { done(.success(nil)) } else { draw(left: left - Self.perTurn, done) }
        }
    }
}

extension Unavailable {
    /// The same, with the server that it is about.
    fileprivate func at(_ endpoint: RedisEndpoint) -> Unavailable {
        Unavailable(
            reason: "\(reason); at the master \(endpoint)", isSilence: isSilence, isNoSession: isNoSession,
            isUnacknowledged: isUnacknowledged)
    }
}

/// The steps of a trial, one behind the other: one for each script and each command that sessions need.
private struct ProbeTrial {
    let store: SessionStore
    let server: RedisNode
    /// Its place among all.
    let number: Int
    let sid: SessionID
    let record: SessionRecord
    let index: SubjectIndex
    let captcha: CaptchaID
    let nonce: SessionID

    private static let dataName = Array("probe".utf8)

    func run(_ done: @escaping (Unavailable?) -> Void) {
        perform([enterIndex, create, removeData, touch, read, end, note, readIndex, spend, lookAround][...], done)
    }

    private typealias Step = (@escaping (Result<Bool, Unavailable>) -> Void) -> Void

    private func perform(_ steps: ArraySlice<Step>, _ done: @escaping (Unavailable?) -> Void) {
        guard let step = steps.first else { return done(nil) }
        step { result in
            switch result {
            case .success(true): perform(steps.dropFirst(), done)
            case .success(false): done(ScriptReply.unexpected)
            case .failure(let fault): done(fault)
            }
        }
    }

    private func enterIndex(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        let entry = IndexEntry(index: index, sid: sid, absoluteEnd: record.absoluteEnd, login: .numbered)
        store.enter(entry, arrival: store.instant) { result in
            done(result.map { outcome in if case .entered = outcome { true } else { false } })
        }
    }

    private func create(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        let data = [RecordField(name: Self.dataName, value: Self.dataName)]
        commit(.create(record, data, isRepeatable: true), done)
    }

    private func removeData(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        commit(.data(.set([RecordField(name: Self.dataName, value: [])]), over: record), done)
    }

    private func touch(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.touch(sid, interval: 0, arrival: store.instant, done)
    }

    private func read(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.load(sid) { result in
            done(result.map { copy in if case .live = copy.session { true } else { false } })
        }
    }

    private func end(_ done: @escaping (Result<Bool, Unavailable>) -> Void) { commit(.end(record, .admin), done) }

    private func note(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.noteLogin(sid, record.current, arrival: store.instant) { result in done(result.map { true }) }
    }

    private func readIndex(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.read(index, IndexQuery(cursor: .start)) { result in
            done(result.map { $0.members.map(\.sid) == [sid] })
            store.tidy(index, [.ended(sid, asked: store.instant)])
        }
    }

    private func spend(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.spend(
            captcha, nonce: nonce, ttl: TokenService.probeLifetime, arrival: store.instant, done)
    }

    /// What only operators' commands and the janitor ask for.
    private func lookAround(_ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        store.readEpoch(at: server, isRequest: true) { [store, number] result, _ in
            if case .failure(let fault) = result { return done(.failure(fault)) }
            // As a walk over all of them begins at this one.
            let query = ScanQuery(kind: .indexes, cursor: decimal(Int64(number)), count: 1)
            store.scan(query) { done($0.map { _ in true }) }
        }
    }

    private func commit(_ write: SessionWrite, _ done: @escaping (Result<Bool, Unavailable>) -> Void) {
        do {
            let change = try write.change(tombstoneEnd: record.absoluteEnd)
            store.commit(change, of: sid, maxData: .max, arrival: store.instant) { result in
                done(
                    result.flatMap { outcome in
                        switch outcome {
                        case .done: .success(true)
                        case .late: .failure(ScriptReply.late)
                        case .overtaken, .tooLarge, .notAnInteger: .success(false)
                        }
                    })
            }
        } catch {
            let fault = Unavailable(error)
            store.later { done(.failure(fault)) }
        }
    }
}
