internal import TokenCache
internal import Tokens
internal import WireProtocol

/// The session commands: arguments in, a question to the service, its answer as a reply.
extension Dispatcher {
    /// - Returns: true where the near cache had the answer; false where it comes from Redis, later. An argument that is
    ///   refused throws.
    func answerSessionCommand(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> Bool {
        switch call.command {
        case .tokenValidate: return try validate(call, &writer)
        case .tokenVisit: return try visit(call, &writer)
        case .tokenGet: return try get(call, &writer)
        case .tokenIssue: try issue(call)
        case .tokenLogin: try login(call)
        case .tokenRotate: try rotate(call)
        case .tokenRevoke: try revoke(call)
        case .tokenRevokeAll: try revokeAll(call)
        case .tokenList: try list(call)
        case .tokenInspect: try inspect(call)
        case .tokenSet: try set(call)
        default: throw ReplyError(code: "ERR", message: "\(call.command.spec.name) is not carried out by this daemon")
        }
        return false
    }

    private func validate(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> Bool {
        if call.arguments.count > 1 { _ = try options(call, from: 1, [.bind]) }
        guard let token = SessionToken(text: call.arguments[0]) else {
            service.countUnreadable()
            writer.refusal(.unknown)
            return true
        }
        if let view = service.cachedAccess(token, at: call.startedAt) {
            writer.session(view, status: "valid")
            return true
        }
        service.validate(token, later(call) { $1.verdict($0) })
        return false
    }

    private func visit(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> Bool {
        let options = try options(call, from: 1, [.bind, .check, .site, .csrf, .dataNames])
        guard !options.needsKeys else {
            throw ReplyError(code: "NOKEYS", message: "CSRF tokens need a key ring, and this daemon has none")
        }
        let text = call.arguments[0]
        let token = SessionToken(text: text)
        let asksData = options.dataNames != nil
        if let token, let view = service.cachedAccess(token, at: call.startedAt), !asksData || view.data != nil {
            let answer = VisitAnswer(presented: .accepted, holder: view)
            writer.visit(answer, data: asksData ? options.pick(view.data ?? []) : nil)
            return true
        }
        service.visit(
            token, isEmpty: text.isEmpty, needsData: asksData,
            later(call) { answer, writer in
                writer.visit(answer, data: asksData ? options.pick(answer.holder.data ?? []) : nil)
            })
        return false
    }

    private func issue(_ call: Call) throws(ReplyError) {
        let options = try options(call, from: 0, [.subject, .idle, .absolute, .bind, .dataPairs])
        try checkSize(options.request.data)
        service.issue(options.request, later(call) { $1.session($0, status: "issued") })
    }

    private func login(_ call: Call) throws(ReplyError) {
        var request = try options(call, from: 2, [.idle, .absolute, .bind, .dataPairs]).request
        request.subject = try SessionOptions.subject(call.arguments[1], isRequired: true)
        try checkSize(request.data)
        service.login(
            SessionToken(text: call.arguments[0]), request, later(call) { $1.session($0, status: "issued") })
    }

    private func rotate(_ call: Call) throws(ReplyError) {
        _ = try options(call, from: 1, [.bind])
        service.rotate(SessionToken(text: call.arguments[0]), later(call) { $1.verdict($0) })
    }

    private func revoke(_ call: Call) throws(ReplyError) {
        let (reference, next) = reference(call)
        _ = try options(call, from: next, reference.isToken ? [.bind] : [])
        service.revoke(reference, later(call) { $1.revocation($0) })
    }

    private func revokeAll(_ call: Call) throws(ReplyError) {
        let subject = try SessionOptions.subject(call.arguments[0], isRequired: true)
        let options = try options(call, from: 1, [.except, .bind])
        let except = options.exceptIndex.map { SessionToken(text: call.arguments[$0]) }
        service.revokeAll(
            subject: subject, except: except,
            later(call) { answer, writer in
                switch answer {
                case .refused(let refusal): writer.refusal(refusal)
                case .revoked(let count):
                    writer.map(2)
                    writer.bulk("status"); writer.bulk("revoked")
                    writer.bulk("count"); writer.integer(Int64(count))
                }
            })
    }

    private func list(_ call: Call) throws(ReplyError) {
        let subject = try SessionOptions.subject(call.arguments[0], isRequired: true)
        let options = try options(call, from: 1, [.limit, .dataNames])
        service.list(
            subject: subject, limit: options.limit ?? SessionOptions.defaultLimit,
            withData: options.dataNames != nil,
            later(call) { views, writer in
                writer.list(views) { options.dataNames == nil ? nil : options.pick($0 ?? []) }
            })
    }

    private func inspect(_ call: Call) throws(ReplyError) {
        let (reference, next) = reference(call)
        _ = try options(call, from: next, reference.isToken ? [.bind] : [])
        service.inspect(reference, later(call) { $1.inspection($0) })
    }

    private func set(_ call: Call) throws(ReplyError) {
        let (reference, next) = reference(call)
        let options = try options(call, from: next, reference.isToken ? [.bind, .dataPairs] : [.dataPairs])
        guard !options.request.data.isEmpty else {
            throw .badArgument("TOKEN.SET needs DATA and at least one pair of field and value")
        }
        try checkSize(options.request.data)
        service.set(reference, options.request.data, later(call) { $1.change($0) })
    }

    private func get(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> Bool {
        let (reference, next) = reference(call)
        let options = try options(call, from: next, reference.isToken ? [.bind, .dataNames] : [.dataNames])
        if case .token(let token?) = reference, let data = service.cachedData(token, at: call.startedAt) {
            writer.held(.accepted(data: options.pick(data)))
            return true
        }
        service.get(
            reference,
            later(call) { answer, writer in
                guard case .accepted(let data) = answer else { return writer.held(answer) }
                writer.held(.accepted(data: options.pick(data)))
            })
        return false
    }

    // MARK: Arguments

    private func options(
        _ call: Call, from start: Int, _ allowed: Set<SessionOptions.Option>
    ) throws(ReplyError) -> SessionOptions {
        try SessionOptions(call, from: start, allowed: allowed, policy: service.policy)
    }

    /// `token` or `SID sid`, and the index of what follows. What cannot be a sid belongs to no session.
    private func reference(_ call: Call) -> (SessionReference, next: Int) {
        guard call.arguments.count > 1, call.arguments.isKeyword(0, "SID") else {
            return (.token(SessionToken(text: call.arguments[0])), 1)
        }
        return (SessionID(text: call.arguments[1]).map(SessionReference.sid) ?? .noSession, 2)
    }

    /// Fails early where the new data alone is too large; the script counts it together with what is there.
    private func checkSize(_ data: [RecordField]) throws(ReplyError) {
        let bytes = data.reduce(0) { $0 + ($1.value.isEmpty ? 0 : $1.name.count + $1.value.count) }
        guard bytes <= service.policy.maxData else {
            throw ReplyError(.dataTooLarge(bytes: Int64(bytes), limit: service.policy.maxData))
        }
    }
}

extension SessionReference {
    /// What names no session at all.
    static var noSession: SessionReference { .token(nil) }

    var isToken: Bool { if case .token = self { true } else { false } }
}
