internal import TokenCache
internal import TokenCrypto
internal import Tokens
internal import UnixTime
internal import WireProtocol

/// The commands about what is stored nowhere: guests, CSRF tokens, captchas. Redis is asked only for a holder whose
/// session is not in the near cache, and to spend a captcha.
extension Dispatcher {
    func issueGuest(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let limit = service.statelessPolicy.guestAbsolute * 1_000
        let options = try options(call, maxLifetime: limit)
        try checkBindings(options.signals)
        let view = try orReply { () throws(ServiceFault) in
            try service.issueGuest(lifetime: options.lifetime, options.signals)
        }
        writer.session(view, status: "issued")
        return .now
    }

    // MARK: CSRF

    func issueCSRF(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        return try withHolder(call, try presented(call, 0, options.signals), &writer) {
            [service] known, writer throws(ServiceFault) in
            let (csrf, expiresIn) = try service.issueCSRF(form: options.form, known.holder)
            writer.map(5)
            writer.status("issued", accepted: true)
            writer.sid(known.holder.sid)
            writer.bulk("csrf"); writer.bulk(csrf)
            writer.bulk("expires_in"); writer.integer(expiresIn)
        }
    }

    func verifyCSRF(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        try orReply(service.requireKeys)
        let form = FormCheck(csrf: call.arguments[1].array, form: options.form, site: options.access.site)
        let presented = try presented(call, 0, options.signals)
        let write = { (answer: Judged<CSRFCheck>, writer: inout ReplyWriter) in
            switch answer {
            case .refused(let refusal): writer.refusal(refusal)
            case .accepted(let check):
                writer.map(1)
                writer.bulk("status"); writer.bulk(check.word)
            }
        }
        return try now(&writer, write) { () throws(ServiceFault) in
            try service.verify(form, heldBy: presented, at: call.startedAt, later(call, write))
        }
    }

    /// Goes on with the holder of a token; one that is not accepted is answered with its own status.
    private func withHolder(
        _ call: Call, _ presented: Presented, _ writer: inout ReplyWriter,
        _ write: @escaping (FormHolder, inout ReplyWriter) throws(ServiceFault) -> Void
    ) throws(ReplyError) -> CommandRow.Answered {
        try orReply(service.requireKeys)
        let reply = { [self] (verdict: Judged<FormHolder>, writer: inout ReplyWriter) in
            switch verdict {
            case .refused(let refusal): writer.refusal(refusal)
            case .accepted(let holder):
                do throws(ServiceFault) { try write(holder, &writer) } catch {
                    let error = ReplyError(error)
                    fail(error.code, error.message, &writer)
                }
            }
        }
        return try now(&writer, reply) { () throws(ServiceFault) in
            try service.holder(presented, at: call.startedAt, later(call, reply))
        }
    }

    // MARK: Captchas

    /// The longest that a captcha may live, milliseconds: as `captcha.lifetime`.
    private static let longestCaptcha: Milliseconds = 30 * 86_400_000

    func issueCaptcha(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call, maxLifetime: Self.longestCaptcha)
        guard options.solution == nil || options.length == nil else {
            throw .badArgument("CAPTCHA.ISSUE takes either SOLUTION or LENGTH")
        }
        try checkBindings(options.signals, service.statelessPolicy.captchaBindings, "captcha.binding or binding")
        var request = CaptchaRequest()
        request.solution = options.solution
        request.length = options.length
        request.form = options.form
        request.lifetime = options.lifetime
        request.signals = options.signals
        guard let index = options.holderIndex else {
            try orReply { [request] () throws(ServiceFault) in
                writer.captcha(try service.issueCaptcha(request, holder: nil))
            }
            return .now
        }
        return try withHolder(call, try presented(call, index, options.signals), &writer) {
            [service, request] known, writer throws(ServiceFault) in
            writer.captcha(try service.issueCaptcha(request, holder: known.holder.sid))
        }
    }

    func openCaptcha(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        switch try orReply({ () throws(ServiceFault) in try service.openCaptcha(call.arguments[0]) }) {
        case .valid(let captcha):
            writer.map(2)
            writer.bulk("status"); writer.bulk("issued")
            writer.bulk("solution"); writer.bulk(captcha.solution)
        case .expired: writer.captcha(.expired)
        case .unknown: writer.captcha(.unknown)
        }
        return .now
    }

    func verifyCaptcha(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        let options = try options(call)
        let captcha: Captcha
        switch try orReply({ () throws(ServiceFault) in try service.openCaptcha(call.arguments[0]) }) {
        case .valid(let opened): captcha = opened
        case .expired: return refuse(.expired, &writer)
        case .unknown: return refuse(.unknown, &writer)
        }
        let attempt = CaptchaAttempt(
            captcha: captcha, answer: call.arguments[1].array, form: options.form, signals: options.signals)
        let presented = try options.holderIndex.map { index throws(ReplyError) in
            try self.presented(call, index, options.signals)
        }
        let write = { (verdict: CaptchaVerdict, writer: inout ReplyWriter) in writer.captcha(verdict) }
        return try now(&writer, write) { () throws(ServiceFault) in
            try service.judge(attempt, heldBy: presented, at: call.startedAt, later(call, write))
        }
    }

    private func refuse(_ verdict: CaptchaVerdict, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        service.countCaptcha(verdict)
        writer.captcha(verdict)
        return .now
    }
}

extension ReplyWriter {
    fileprivate mutating func captcha(_ issued: IssuedCaptcha) {
        map(4)
        bulk("status"); bulk("issued")
        bulk("captcha"); bulk(issued.captcha)
        bulk("solution"); bulk(issued.solution)
        bulk("expires_in"); integer(issued.expiresIn)
    }

    fileprivate mutating func captcha(_ verdict: CaptchaVerdict) {
        map(1)
        bulk("status"); bulk(verdict.rawValue)
    }
}
