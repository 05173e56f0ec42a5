internal import WireProtocol

extension HTTPSite {
    /// `/metrics`.
    func metrics(_ request: HTTPRequest, _ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        let accepted = request.value(of: "accept").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let form: MetricsText.Form = accepted.contains("application/openmetrics-text") ? .openMetrics : .prometheus
        let text = MetricsText.all(figures, form)
        reply.begin(.ok, &writer)
        writer.end(form.contentType, text)
        return .now
    }
}

extension Dispatcher {
    /// METRICS: the same over the other socket, without those of the process.
    func metrics(_ call: Call, _ writer: inout ReplyWriter) throws(ReplyError) -> CommandRow.Answered {
        guard call.arguments.count == 0 || call.arguments.isKeyword(0, "OPENMETRICS") else {
            throw .badArgument("METRICS takes nothing, or OPENMETRICS")
        }
        let source = Figure.Source(dispatcher: self, server: call.session.server, environment: environment)
        let form: MetricsText.Form = call.arguments.count == 0 ? .prometheus : .openMetrics
        writer.verbatim(MetricsText.all(source, form, withProcess: false))
        return .now
    }
}
