internal import TokenCache
internal import TokenCrypto
internal import Tokens
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
            cursor.map(10, version: version)
            cursor.bulk("status"); cursor.bulk("valid")
            cursor.bulk("accepted"); cursor.integer(1)
            cursor.bulk("kind"); cursor.bulk("session")
            cursor.bulk("sid"); session.sid.withUnsafeBytes { cursor.bulkHex($0) }
            cursor.bulk("subject"); cursor.bulk(subject)
            cursor.bulk("generation"); cursor.integer(session.generation)
            cursor.bulk("created"); cursor.integer(session.createdSeconds)
            cursor.bulk("modified"); cursor.integer(session.modifiedSeconds)
            cursor.bulk("expires_in"); cursor.integer(session.expiresIn)
            cursor.bulk("absolute_in"); cursor.integer(session.absoluteIn)
        }
    }

    /// How many fields `holder` writes.
    static func fieldCount(_ view: SessionView) -> Int {
        8 + (view.newToken == nil ? 0 : 1) + (view.differs.isEmpty ? 0 : 1) + (view.isStale ? 1 : 0)
    }

    /// What is known of the holder: every field of an accepted token but `status` and `accepted`.
    mutating func holder(_ view: SessionView) {
        bulk("kind"); bulk(view.isGuest ? "guest" : "session")
        bulk("sid"); view.sid.withUnsafeBytes { bulkHex($0) }
        bulk("subject"); bulk(view.subject)
        bulk("generation"); integer(view.generation)
        bulk("created"); integer(view.created)
        bulk("modified"); integer(view.modified)
        bulk("expires_in"); integer(view.expiresIn)
        bulk("absolute_in"); integer(view.absoluteIn)
        if let token = view.newToken { bulk("sessiontoken"); bulk(token.secretText) }
        if !view.differs.isEmpty {
            bulk("differs"); bulk(view.differs.map(\.rawValue).joined(separator: " "))
        }
        if view.isStale { bulk("stale"); integer(1) }
    }

    mutating func status(_ status: StaticString, accepted: Bool) {
        bulk("status"); bulk(status)
        bulk("accepted"); integer(accepted ? 1 : 0)
    }

    /// A token that is not accepted: its status, the reason where there is one, and nothing else.
    mutating func refusal(_ refusal: Refusal) {
        map(2 + Self.fieldCount(refusal))
        status(refusal.status, accepted: false)
        reason(of: refusal)
    }

    static func fieldCount(_ refusal: Refusal) -> Int { if case .revoked = refusal { 1 } else { 0 } }

    mutating func reason(of refusal: Refusal) {
        if case .revoked(let reason) = refusal { bulk("reason"); bulk(reason.rawValue) }
    }

    mutating func verdict(_ verdict: Verdict) {
        switch verdict {
        case .accepted(let view): session(view, status: view.newToken == nil ? "valid" : "rotated")
        case .refused(let refusal): self.refusal(refusal)
        }
    }

    /// A page view's answer: `data` is nil where it was not asked for.
    mutating func visit(_ answer: VisitAnswer, data: [RecordField]?) {
        let extra = (data == nil ? 0 : 1) + (answer.check == nil ? 0 : 1) + (answer.csrf == nil ? 0 : 1)
        switch answer.presented {
        case .accepted:
            session(answer.holder, status: answer.holder.newToken == nil ? "valid" : "rotated", extra: extra)
        case .none:
            session(answer.holder, status: "none", accepted: false, extra: extra)
        case .refused(let refusal):
            map(2 + Self.fieldCount(refusal) + Self.fieldCount(answer.holder) + extra)
            status(refusal.status, accepted: false)
            reason(of: refusal)
            holder(answer.holder)
        }
        if let check = answer.check { bulk("check"); bulk(check.word) }
        if let csrf = answer.csrf { bulk("csrf"); bulk(csrf) }
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
            map(change.newToken == nil ? 3 : 4)
            status("valid", accepted: true)
            bulk("changed"); integer(Int64(change.fields))
            if let token = change.newToken { bulk("sessiontoken"); bulk(token.secretText) }
        }
    }

    /// GET: the fields that were asked for.
    mutating func held(_ answer: Judged<[RecordField]>) {
        switch answer {
        case .refused(let refusal): self.refusal(refusal)
        case .accepted(let data):
            map(3)
            status("valid", accepted: true)
            self.data(data)
        }
    }

    mutating func revocation(_ answer: RevokeAnswer) {
        switch answer {
        case .unknown: refusal(.unknown)
        case .revoked(let reason): refusal(.revoked(reason))
        }
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

    /// LIST: a map a session, never a token.
    mutating func list(_ views: [SessionView], data: ([RecordField]?) -> [RecordField]?) {
        array(views.count)
        for view in views {
            let fields = data(view.data)
            map(fields == nil ? 6 : 7)
            bulk("sid"); view.sid.withUnsafeBytes { bulkHex($0) }
            bulk("created"); integer(view.created)
            bulk("modified"); integer(view.modified)
            bulk("expires_in"); integer(view.expiresIn)
            bulk("absolute_in"); integer(view.absoluteIn)
            bulk("generation"); integer(view.generation)
            if let fields { self.data(fields) }
        }
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
        }
    }
}
