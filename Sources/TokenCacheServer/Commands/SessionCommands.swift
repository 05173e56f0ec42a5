internal import TokenCache
internal import Tokens
internal import UnixTime
internal import WireProtocol

/// The session commands: arguments in, a question to the service, its answer as a reply.
extension Dispatcher {
    func validate(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        guard call.arguments.count > 1 else { return try validateToken(call, Signals(), Requirement(), &writer) }
        let options = try options(call)
        // A validator reads no data and makes no forms: those are a worker's.
        guard call.session.role >= .worker || (!options.fields.areAsked && options.access.csrfForm == nil) else {
            throw ReplyError(
                code: "NOPERM",
                message:
                    "DATA and CSRF of \(call.row.name) need the role worker, this peer has \(call.session.role)"
            )
        }
        guard options.asksForPage else {
            return try validateToken(
                call, options.signals, isNavigation: options.access.isNavigation, options.requirement, &writer)
        }
        let (requirement, fields) = (options.requirement, options.fields)
        let write = { [self] (answer: Judged<Page>, writer: inout ReplyWriter) in
            switch answer {
            case .refused(let refusal): writer.refusal(refusal)
            case .accepted(let page):
                if refuse(page.holder, requirement, &writer) { return }
                writer.page(page, data: fields.picked(page.holder))
            }
        }
        return try now(&writer, write) { () throws(ServiceFault) in
            try service.validate(
                call.arguments[0], options.access, options.signals, at: call.startedAt, later(call, write))
        }
    }

    /// The token alone is asked about. Without the options: a hit would pay for handing them on.
    @inline(__always)
    private func validateToken(
        _ call: Call, _ signals: Signals, isNavigation: Bool = true, _ requirement: Requirement,
        _ writer: inout ReplyWriter
    ) throws(ReplyError) -> CommandRow.Answered {
        // No closure: a hit would pay for one that it has no use for.
        func write(_ verdict: Verdict, _ writer: inout ReplyWriter) {
            if case .accepted(let view) = verdict, refuse(view, requirement, &writer) { return }
            writer.verdict(verdict)
        }
        do throws(ServiceFault) {
            switch try service.validate(
                call.arguments[0], signals, isNavigation: isNavigation, at: call.startedAt, later(call, write))
            {
            case .hit(let session):
                if session.isAsBound, requirement.isEmpty || requirement.unmet(by: session, now: service.seconds) == nil
                {
                    writer.validSession(session)
                } else {
                    write(.accepted(SessionView(session)), &writer)
                }
            case .accepted(let view): write(.accepted(view), &writer)
            case .refused(let refusal): writer.refusal(refusal)
            case .asked: return .later
            }
            return .now
        } catch { throw ReplyError(error) }
    }

    /// Answers an accepted token that is not what is required of it.
    /// - Returns: whether it is not.
    private func refuse(_ view: SessionView, _ requirement: Requirement, _ writer: inout ReplyWriter) -> Bool {
        guard !requirement.isEmpty, let unmet = requirement.unmet(by: view, now: service.seconds) else { return false }
        service.countUnmet(view, isAnonymous: unmet == .anonymous)
        writer.unmet(view, status: unmet.status)
        return true
    }

    func visit(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        let fields = options.fields
        let write = { (answer: VisitAnswer, writer: inout ReplyWriter) in
            writer.visit(answer, data: fields.picked(answer.page.holder))
        }
        return try now(&writer, write) { () throws(ServiceFault) in
            try service.visit(
                call.arguments[0], options.access, options.signals, at: call.startedAt, later(call, write))
        }
    }

    func issue(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        guard options.request.authTime == nil || !options.request.subject.isEmpty else {
            throw .badArgument("AUTH-TIME says when a subject proved who they are, and needs SUBJECT")
        }
        guard options.request.maxSessions == nil || !options.request.subject.isEmpty else {
            throw .badArgument("MAX says how many sessions a subject may have, and needs SUBJECT")
        }
        try checkBindings(options.signals)
        try checkSize(options.request.data)
        service.issue(options.request, at: call.startedAt, later(call) { [self] in issued($0, form: nil, &$1) })
        return .later
    }

    func login(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        if options.access.csrfForm != nil { try orReply(service.requireKeys) }
        var request = options.request
        request.subject = try SessionOptions.subject(call.arguments[1], isRequired: true)
        request.pageGuest = service.pageGuest(of: call.arguments[0])
        try checkBindings(options.signals)
        try checkSize(request.data)
        // Whatever the client sent: what cannot be read is nothing to build on.
        let credential = (try? service.credential(call.arguments[0])) ?? .refused(.unknown)
        let form = options.access.csrfForm
        service.login(
            credential, request, at: call.startedAt,
            later(call) { [self] in issued($0, form: form, &$1) })
        return .later
    }

    private func issued(_ answer: LoginAnswer, form: [UInt8]?, _ writer: inout ReplyWriter) {
        switch answer {
        case .issued(let view, let ended): session(view, status: "issued", form: form, ended: ended, &writer)
        case .refused(let count):
            writer.map(4)
            writer.status("refused", accepted: false)
            writer.bulk("reason"); writer.bulk(EndReason.limit.rawValue)
            writer.bulk("count"); writer.integer(Int64(count))
        }
    }

    func rotate(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        if options.access.csrfForm != nil { try orReply(service.requireKeys) }
        service.rotate(
            try presented(call, 0, options.signals), limits: options.limits,
            pageGuest: service.pageGuest(of: call.arguments[0]),
            at: call.startedAt,
            later(call) { [self] verdict, writer in
                switch verdict {
                case .refused(let refusal): writer.refusal(refusal)
                case .accepted(let view):
                    self.session(view, status: "rotated", form: options.access.csrfForm, &writer)
                }
            })
        return .later
    }

    /// A session under a new token, a CSRF token for the form that comes next, and how many sessions gave way to it.
    private func session(
        _ view: SessionView, status: StaticString, form: [UInt8]?, ended: Int? = nil, _ writer: inout ReplyWriter
    ) {
        // What was changed is told first of all: a page asks for its CSRF token again where it cannot be made.
        let csrf = form.flatMap { form in try? service.issueCSRF(form: form, for: view) }
        writer.session(view, status: status, extra: (csrf == nil ? 0 : 1) + (ended == nil ? 0 : 1))
        if let csrf { writer.bulk("csrf"); writer.bulk(csrf) }
        if let ended { writer.bulk("ended"); writer.integer(Int64(ended)) }
    }

    func revoke(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, _) = try reference(call)
        service.revoke(reference, at: call.startedAt, later(call) { $1.revocation($0) })
        return .later
    }

    func revokeAll(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let subject = try SessionOptions.subject(call.arguments[0], isRequired: true)
        let options = try options(call)
        guard options.exceptIndex != nil || options.signals.isEmpty else {
            throw .badArgument("BIND speaks of the token of EXCEPT, and there is none")
        }
        let except = try options.exceptIndex.map { index throws(ReplyError) in
            try presented(call, index, options.signals)
        }
        service.revokeAll(
            subject: subject, except: except, at: call.startedAt,
            later(call) { answer, writer in
                switch answer {
                case .refused(let refusal): writer.refusal(refusal)
                case .accepted(let count): writer.allRevoked(count)
                }
            })
        return .later
    }

    func list(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let subject = try SessionOptions.subject(call.arguments[0], isRequired: true)
        let options = try options(call)
        let (asked, isPaged) = (options.fields, options.cursor != nil)
        let fields = asked.names.map { $0.isEmpty ? FactFields.all : .named($0) } ?? .fixed
        service.list(
            subject: subject, limit: options.limit ?? SessionOptions.defaultLimit, from: options.cursor, fields: fields,
            at: call.startedAt,
            later(call) { page, writer in
                if isPaged {
                    writer.array(2)
                    writer.bulk((page.next ?? .start).text)
                }
                writer.array(page.sessions.count)
                for session in page.sessions {
                    writer.listed(session, data: asked.areAsked ? asked.pick(session.data) : nil)
                }
            })
        return .later
    }

    func count(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        service.count(
            subject: try SessionOptions.subject(call.arguments[0], isRequired: true), at: call.startedAt,
            later(call) { $1.integer(Int64($0)) })
        return .later
    }

    func scan(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let cursor = call.arguments[0]
        guard cursor.allSatisfy({ (0x30...0x39).contains($0) }), UInt64(String(decoding: cursor, as: UTF8.self)) != nil
        else {
            throw .badArgument("a cursor is 0, or what the call before answered")
        }
        service.scan(
            cursor.array, count: try options(call).scanCount ?? SessionOptions.defaultLimit, at: call.startedAt,
            later(call) { page, writer in
                writer.array(2)
                writer.bulk(page.next)
                writer.array(page.sessions.count)
                for session in page.sessions { writer.listed(session, namesSubject: true, data: nil) }
            })
        return .later
    }

    func revokeEveryone(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        service.revokeEveryone(at: call.startedAt, later(call) { $1.allRevoked($0) })
        return .later
    }

    func inspect(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, _) = try reference(call)
        service.inspect(reference, at: call.startedAt, later(call) { $1.inspection($0) })
        return .later
    }

    func set(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, options) = try reference(call)
        guard !options.request.data.isEmpty else {
            throw .badArgument("TOKEN.SET needs DATA and at least one pair of field and value")
        }
        try checkSize(options.request.data)
        return change(call, reference, .set(options.request.data, if: options.conditions), options.limits)
    }

    func increment(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, options) = try reference(call)
        guard let (field, number) = options.addend else {
            throw .badArgument("TOKEN.INCR needs DATA and a field; usage: \(call.row.usage)")
        }
        return change(call, reference, .add(number, to: field))
    }

    func take(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, options) = try reference(call)
        guard let names = options.fields.names, !names.isEmpty else {
            throw .badArgument("TOKEN.GETDEL needs DATA and at least one field: it takes none that was not named")
        }
        return change(call, reference, .take(names))
    }

    private func change(
        _ call: Call, _ reference: SessionReference, _ change: DataChange, _ limits: SessionLimits = SessionLimits()
    ) -> CommandRow.Answered {
        service.change(reference, change, limits: limits, at: call.startedAt, later(call) { $1.change($0) })
        return .later
    }

    func expire(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        guard !options.limits.isEmpty else {
            throw .badArgument("TOKEN.EXPIRE needs IDLE or ABSOLUTE; TOKEN.REVOKE ends a session")
        }
        service.expire(
            try presented(call, 0, options.signals), options.limits, at: call.startedAt,
            later(call) { answer, writer in
                switch answer {
                case .refused(let refusal): writer.refusal(refusal)
                case .accepted(let view): writer.session(view, status: "valid")
                }
            })
        return .later
    }

    func get(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let (reference, options) = try reference(call)
        let asked = options.fields
        let write = { (answer: Judged<HeldData>, writer: inout ReplyWriter) in
            writer.held(answer.map { HeldData(sid: $0.sid, fields: asked.pick($0.fields)) })
        }
        return try now(&writer, write) { service.get(reference, at: call.startedAt, later(call, write)) }
    }

    // MARK: Arguments

    /// The options of the command, behind the arguments that it needs.
    /// - Parameters:
    ///   - start: where they begin, if not there.
    ///   - more: further options that are allowed.
    func options(
        _ call: Call, from start: Int? = nil, and more: [CommandOption] = [], maxLifetime: Milliseconds = 0
    ) throws(ReplyError) -> SessionOptions {
        let row = call.row
        return try SessionOptions(
            call, from: start ?? row.arity.minimum,
            allowed: more.isEmpty ? row.allowed : CommandOption.sorted(row.allowed + more),
            service: service, maxLifetime: maxLifetime)
    }

    /// The token at an index of the arguments, opened as far as that goes without Redis.
    func credential(_ call: Call, _ index: Int) throws(ReplyError) -> Credential {
        try orReply { () throws(ServiceFault) in try service.credential(call.arguments[index]) }
    }

    func presented(_ call: Call, _ index: Int, _ signals: Signals) throws(ReplyError) -> Presented {
        Presented(try credential(call, index), call.arguments[index], signals)
    }

    /// Where a token is bound strictly, the signal is there when it is made: a forgetful call would unbind it.
    func checkBindings(_ signals: Signals) throws(ReplyError) {
        try checkBindings(signals, service.statelessPolicy.bindings, "binding")
    }

    func checkBindings(_ signals: Signals, _ policy: BindingPolicy, _ key: StaticString) throws(ReplyError) {
        if policy.ip == .strict, signals.ip == nil {
            throw .badArgument("\(key) is strict about ip: this command needs BIND ip and the client's address")
        }
        if policy.userAgent == .strict, signals.userAgent == nil {
            throw .badArgument("\(key) is strict about ua: this command needs BIND ua and the client's User-Agent")
        }
    }

    /// `token [BIND …]` or `SID sid [SUBJECT subject]`, and the options behind. What cannot be a sid belongs to no session.
    private func reference(_ call: Call) throws(ReplyError) -> (SessionReference, SessionOptions) {
        guard call.arguments.isKeyword(0, "SID") else {
            let options = try options(call, from: 1, and: [.bind])
            return (.token(try presented(call, 0, options.signals)), options)
        }
        let text = call.arguments[1]
        let isOption = call.row.allowed.contains { text.isKeyword($0.keyword) } || text.isKeyword("SUBJECT")
        guard !text.isEmpty, !isOption else {
            throw .badArgument("SID needs the sid of a session, 32 hex digits; usage: \(call.row.usage)")
        }
        let options = try options(call, from: 2, and: [.subject])
        guard options.givenSubject != [] else {
            throw .badArgument("SID … SUBJECT needs a subject: sessions of nobody are not asked for by whose they are")
        }
        guard let sid = SessionID(text: call.arguments[1]) else { return (.noSession, options) }
        return (.sid(sid, of: options.givenSubject), options)
    }

    /// Writes the answer that the service has at once, if it has one; else it comes later.
    func now<Answer>(
        _ writer: inout ReplyWriter, _ write: (Answer, inout ReplyWriter) -> Void,
        _ ask: () throws(ServiceFault) -> Answer?
    ) throws(ReplyError) -> CommandRow.Answered {
        guard let answer = try orReply(ask) else { return .later }
        write(answer, &writer)
        return .now
    }

    /// What the service cannot do is an error reply.
    func orReply<Value>(_ body: () throws(ServiceFault) -> Value) throws(ReplyError) -> Value {
        do { return try body() } catch { throw ReplyError(error) }
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
    static var noSession: SessionReference { .token(Presented(.refused(.unknown))) }
}
