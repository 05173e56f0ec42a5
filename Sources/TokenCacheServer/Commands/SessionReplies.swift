internal import TokenCache
internal import TokenCrypto
internal import Tokens
internal import UnixTime
internal import WireProtocol

/// The domain replies: maps whose fields stand in the order of the protocol's description.
extension ReplyWriter {
    /// The fields of an accepted token: those of every session, then what applies.
    /// - Parameters:
    ///   - status: speaks of the token that was presented.
    ///   - extra: how many fields the caller adds behind.
    mutating func session(_ view: SessionView, status: StaticString, accepted: Bool = true, extra: Int = 0) {
        map(2 + Self.fieldCount(view) + extra)
        self.status(status, accepted: accepted)
        holder(view)
    }

    /// What `session` writes for a session with status `valid` and nothing that applies, in one go.
    mutating func validSession(_ session: CachedSession) {
        let subject = session.subject
        let version = version
        write(atMost: 512 + subject.count) { cursor in
            cursor.map(11, version: version)
            cursor.bulk("status"); cursor.bulk("valid")
            cursor.bulk("accepted"); cursor.integer(1)
            cursor.bulk("kind"); cursor.bulk("session")
            cursor.bulk("sid"); session.sid.withUnsafeBytes { cursor.bulkHex($0) }
            cursor.bulk("subject"); cursor.bulk(subject)
            cursor.bulk("generation"); cursor.integer(session.generation)
            cursor.bulk("created"); cursor.integer(session.created.sinceEpoch)
            cursor.bulk("modified"); cursor.integer(session.modified.sinceEpoch)
            cursor.bulk("auth_time"); cursor.integer(session.authTime?.sinceEpoch ?? 0)
            cursor.bulk("expires_in"); cursor.integer(session.expiresIn)
            cursor.bulk("absolute_in"); cursor.integer(session.absoluteIn)
        }
    }

    /// How many fields `holder` writes.
    static func fieldCount(_ view: SessionView) -> Int {
        9 + tokenFieldCount(view) + (view.differs.isEmpty ? 0 : 1) + (view.isStale ? 1 : 0)
    }

    /// What is known of the holder: every field of an accepted token but `status` and `accepted`.
    mutating func holder(_ view: SessionView) {
        bulk("kind"); bulk(view.isGuest ? "guest" : "session")
        sid(view.sid)
        bulk("subject"); bulk(view.subject)
        bulk("generation"); integer(view.generation)
        bulk("created"); integer(view.created.sinceEpoch)
        bulk("modified"); integer(view.modified.sinceEpoch)
        bulk("auth_time"); integer(view.authTime?.sinceEpoch ?? 0)
        bulk("expires_in"); integer(view.expiresIn)
        bulk("absolute_in"); integer(view.absoluteIn)
        token(view)
        if !view.differs.isEmpty {
            bulk("differs"); bulk(view.differs.map(\.rawValue).joined(separator: " "))
        }
        if view.isStale { bulk("stale"); integer(1) }
    }

    private static func tokenFieldCount(_ view: SessionView) -> Int {
        view.newToken == nil ? 0 : view.isPersistent ? 2 : 1
    }

    /// The token to hand on, and how long its cookie is to live, where that is longer than the browser's life.
    private mutating func token(_ view: SessionView) {
        guard let token = view.newToken else { return }
        bulk("sessiontoken"); bulk(token.secretText)
        if view.isPersistent { bulk("max_age"); integer(view.absoluteIn) }
    }

    mutating func status(_ status: StaticString, accepted: Bool) {
        bulk("status"); bulk(status)
        bulk("accepted"); integer(accepted ? 1 : 0)
    }

    /// A token that is not accepted: its status, the reason where there is one, and nothing else.
    mutating func refusal(_ refusal: Refusal) {
        map(2 + Self.refusalFieldCount(refusal))
        status(refusal.status, accepted: false)
        reason(of: refusal)
    }

    static func refusalFieldCount(_ refusal: Refusal) -> Int { if case .revoked = refusal { 1 } else { 0 } }

    mutating func reason(of refusal: Refusal) {
        if case .revoked(let reason) = refusal { bulk("reason"); bulk(reason.rawValue) }
    }

    mutating func verdict(_ verdict: Verdict) {
        switch verdict {
        case .accepted(let view): session(view, status: view.newToken == nil ? "valid" : "rotated")
        case .refused(let refusal): self.refusal(refusal)
        }
    }

    /// A token that is good, and not good enough for what is required of it. It may have been due.
    mutating func unmet(_ view: SessionView, status: StaticString) {
        map(5 + Self.tokenFieldCount(view))
        self.status(status, accepted: false)
        sid(view.sid)
        bulk("subject"); bulk(view.subject)
        bulk("auth_time"); integer(view.authTime?.sinceEpoch ?? 0)
        token(view)
    }

    /// An accepted token and what a page asked besides: `data` is nil where it was not asked for.
    mutating func page(_ page: Page, data: [RecordField]?) {
        let status: StaticString = page.holder.newToken == nil ? "valid" : "rotated"
        session(page.holder, status: status, extra: Self.tailCount(page, data))
        tail(page, data)
    }

    /// VISIT: the same, or a refusal with a guest behind.
    mutating func visit(_ answer: VisitAnswer, data: [RecordField]?) {
        let page = answer.page
        switch answer.presented {
        case .accepted: return self.page(page, data: data)
        case .none: session(page.holder, status: "none", accepted: false, extra: Self.tailCount(page, data))
        case .refused(let refusal):
            map(2 + Self.refusalFieldCount(refusal) + Self.fieldCount(page.holder) + Self.tailCount(page, data))
            status(refusal.status, accepted: false)
            reason(of: refusal)
            holder(page.holder)
        }
        tail(page, data)
    }

    private static func tailCount(_ page: Page, _ data: [RecordField]?) -> Int {
        (data == nil ? 0 : 1) + (page.check == nil ? 0 : 1) + (page.csrf == nil ? 0 : 1)
    }

    private mutating func tail(_ page: Page, _ data: [RecordField]?) {
        if let check = page.check { bulk("check"); bulk(check.word) }
        if let csrf = page.csrf { bulk("csrf"); bulk(csrf) }
        if let data { self.data(data) }
    }

    mutating func inspection(_ answer: Judged<Inspection>) {
        switch answer {
        case .refused(let refusal): self.refusal(refusal)
        case .accepted(let inspection):
            session(inspection.session, status: "valid", extra: 2)
            bulk("successor"); bulk(inspection.successor.rawValue)
            bulk("data_fields"); integer(Int64(inspection.dataFields))
        }
    }

    mutating func change(_ answer: Judged<ChangedData>) {
        switch answer {
        case .refused(let refusal): self.refusal(refusal)
        case .accepted(let change):
            let handed = change.handed.map { $0.maxAge == nil ? 1 : 2 } ?? 0
            switch change.outcome {
            case .changed(let fields):
                accepted("valid", change.sid, 1 + handed)
                bulk("changed"); integer(Int64(fields))
            case .conflict(let fields):
                accepted("conflict", change.sid, 2 + handed)
                bulk("changed"); integer(0)
                data(fields)
            case .sum(let value):
                accepted("valid", change.sid, 1 + handed)
                bulk("value"); integer(value)
            case .taken(let fields):
                accepted("valid", change.sid, 1 + handed)
                data(fields)
            }
            guard let handed = change.handed else { return }
            bulk("sessiontoken"); bulk(handed.token.secretText)
            if let maxAge = handed.maxAge { bulk("max_age"); integer(maxAge) }
        }
    }

    /// The beginning of a reply that is not about the holder.
    /// - Parameter more: how many fields the caller adds behind.
    private mutating func accepted(_ status: StaticString, _ sid: SessionID, _ more: Int) {
        map(3 + more)
        self.status(status, accepted: true)
        self.sid(sid)
    }

    /// GET: the fields that were asked for.
    mutating func held(_ answer: Judged<HeldData>) {
        switch answer {
        case .refused(let refusal): self.refusal(refusal)
        case .accepted(let held):
            accepted("valid", held.sid, 1)
            data(held.fields)
        }
    }

    mutating func revocation(_ answer: RevokeAnswer) {
        switch answer {
        case .unknown: refusal(.unknown)
        case .replayed: refusal(.replayed)
        case .revoked(let reason): refusal(.revoked(reason))
        }
    }

    /// Many were ended.
    mutating func allRevoked(_ count: Int) {
        map(3)
        status("revoked", accepted: false)
        bulk("count"); integer(Int64(count))
    }

    mutating func sid(_ sid: SessionID) {
        bulk("sid"); sid.withUnsafeBytes { bulkHex($0) }
    }

    /// The field `data`, a map of names and values.
    mutating func data(_ fields: [RecordField]) {
        bulk("data")
        map(fields.count)
        for field in fields {
            bulk(field.name)
            bulk(field.value)
        }
    }

    /// A session of LIST or SCAN, never its tokens.
    /// - Parameters:
    ///   - namesSubject: SCAN says whose it is.
    ///   - data: the fields that were asked for; nil where none were.
    mutating func listed(_ session: ListedSession, namesSubject: Bool = false, data: [RecordField]?) {
        map(7 + (namesSubject ? 1 : 0) + (data == nil ? 0 : 1))
        sid(session.sid)
        if namesSubject { bulk("subject"); bulk(session.subject) }
        bulk("created"); integer(session.created.sinceEpoch)
        bulk("modified"); integer(session.modified.sinceEpoch)
        bulk("auth_time"); integer(session.authTime?.sinceEpoch ?? 0)
        bulk("expires_in"); integer(session.expiresIn)
        bulk("absolute_in"); integer(session.absoluteIn)
        bulk("generation"); integer(session.generation)
        if let data { self.data(data) }
    }
}

extension Refusal {
    var status: StaticString {
        switch self {
        case .unknown: "unknown"
        case .replayed: "replayed"
        case .revoked: "revoked"
        case .expired: "expired"
        case .mismatch: "mismatch"
        }
    }
}

extension CSRFCheck {
    var word: StaticString {
        switch self {
        case .passed: "passed"
        case .failed: "failed"
        case .expired: "expired"
        case .outdated: "outdated"
        }
    }
}
