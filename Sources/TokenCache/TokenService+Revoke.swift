internal import Logging
internal import TokenCrypto
internal import Tokens

/// REVOKE, REVOKEALL and LIST.
extension TokenService {
    /// Ends the session of a token it once gave out, whether that is still accepted or not. Idempotent.
    public func revoke(_ reference: SessionReference, _ done: @escaping Completion<RevokeAnswer>) {
        attempt(done) {
            guard case .session(let sid, let claim) = try resolve(reference) else {
                return answer(.success(.unknown), done)
            }
            run(RevokeFlow(sid: sid, claim: claim), done)
        }
    }

    // MARK: All of a subject

    /// Ends all sessions of a subject but the one of `except`, where given. When it is acknowledged, every session
    /// that was acknowledged before it began is dead.
    public func revokeAll(
        subject: [UInt8], except: Presented?, _ done: @escaping Completion<RevokeAllAnswer>
    ) {
        let done: Completion<RevokeAllAnswer> = { [self] result in
            if case .failure = result { forget(subject: subject, but: except?.sid) }
            done(result)
        }
        attempt(done) {
            let sweep = Sweep(subject: subject, index: try SubjectIndex(subject: subject, crypto: crypto))
            guard let except else { return scan(sweep, cursor: Sweep.start, done) }
            judged(.token(except), done, refused: RevokeAllAnswer.refused) { [self] _, sid, _, _ in
                sweep.spared = sid
                scan(sweep, cursor: Sweep.start, done)
            }
        }
    }

    /// One REVOKEALL on its way over the pages of the index.
    private final class Sweep {
        let subject: [UInt8]
        let index: SubjectIndex
        var spared: SessionID?
        var ended = 0
        /// Sessions of this page still under way, and the first fault among them.
        var pending = 0
        var fault: (any Error)?

        static let start = [UInt8(ascii: "0")]

        init(subject: [UInt8], index: SubjectIndex) {
            self.subject = subject
            self.index = index
        }
    }

    private func scan(_ sweep: Sweep, cursor: [UInt8], _ done: @escaping Completion<RevokeAllAnswer>) {
        store.scanIndex(sweep.index, cursor: cursor) { [self] result in
            attempt(done) {
                let (next, sids) = try result.get()
                end(sids.filter { $0 != sweep.spared }, sweep, done) { [self] in
                    guard next == Sweep.start else { return scan(sweep, cursor: next, done) }
                    done(.success(.revoked(count: sweep.ended)))
                }
            }
        }
    }

    /// Ends one page of sessions side by side; goes on when the last of them is done.
    private func end(
        _ sids: [SessionID], _ sweep: Sweep, _ done: @escaping Completion<RevokeAllAnswer>,
        then: @escaping () -> Void
    ) {
        guard !sids.isEmpty else { return then() }
        sweep.pending = sids.count
        for sid in sids {
            run(RevokeFlow(sid: sid, subject: sweep.subject, reason: .logoutAll)) { [self] result in
                switch result {
                case .success(.revoked): sweep.ended += 1
                case .success(.unknown): break
                case .failure(let fault): sweep.fault = sweep.fault ?? fault
                }
                sweep.pending -= 1
                guard sweep.pending == 0 else { return }
                if let fault = sweep.fault { fail(fault, done) } else { then() }
            }
        }
    }

    // MARK: LIST

    /// The most sessions that LIST looks at: those with the latest absolute end.
    public static let maxListed = 1_000

    /// The living sessions of a subject, newest first, at most `limit`.
    /// - Parameter withData: whether the sessions' data is wanted; it is not kept otherwise.
    public func list(
        subject: [UInt8], limit: Int, withData: Bool = true, _ done: @escaping Completion<[SessionView]>
    ) {
        attempt(done) {
            let index = try SubjectIndex(subject: subject, crypto: crypto)
            store.newest(index, limit: Self.maxListed) { [self] result in
                attempt(done) {
                    let sids = try result.get()
                    guard !sids.isEmpty else { return done(.success([])) }
                    let listing = Listing(pending: sids.count, withData: withData)
                    for sid in sids {
                        store.load(sid) { [self] result in
                            listing.add(sid, result, subject: subject)
                            guard listing.pending == 0 else { return }
                            attempt(done) { done(.success(try listing.views(now: try now(), limit: limit))) }
                        }
                    }
                }
            }
        }
    }

    private final class Listing {
        var pending: Int
        private var found: [(sid: SessionID, record: SessionRecord, data: [RecordField])] = []
        private var fault: Unavailable?

        private let withData: Bool

        init(pending: Int, withData: Bool) {
            self.pending = pending
            self.withData = withData
        }

        func add(_ sid: SessionID, _ result: Result<StoredCopy, Unavailable>, subject: [UInt8]) {
            pending -= 1
            switch result {
            case .failure(let unavailable): fault = fault ?? unavailable
            case .success(let copy):
                if case .live(let record) = copy.session, record.subject == subject {
                    found.append((sid, record, withData ? copy.data : []))
                }
            }
        }

        func views(now: Milliseconds, limit: Int) throws(Unavailable) -> [SessionView] {
            if let fault { throw fault }
            return found.sorted { $0.record.created > $1.record.created }.prefix(limit).map {
                SessionView($0.record, sid: $0.sid, now: now, newToken: nil, data: $0.data)
            }
        }
    }
}
