import CFCGI
import FoundationEssentials

/// The feedback site's HTTP side: requests in, pages and JSON out.
public struct Site<Worker: Feedback> {
    private let worker: Worker
    private let page: [String]
    private let picture: [String]

    /// - Parameter pages: The folder of `feedback.html` and `captcha.svg`.
    public init(_ worker: Worker, pages: String) throws {
        self.worker = worker
        page = try String(contentsOfFile: "\(pages)/feedback.html", encoding: .utf8).cutAtPlaces()
        picture = try String(contentsOfFile: "\(pages)/captcha.svg", encoding: .utf8).cutAtPlaces()
    }

    /// Serves until the web server ends the process.
    public func serve() {
        var input, output, errors: UnsafeMutablePointer<FCGX_Stream>?
        var parameters: FCGX_ParamArray?
        while FCGX_Accept(&input, &output, &errors, &parameters) >= 0 {
            let bytes = Array(answer(Request(input, parameters)).text.utf8)
            bytes.withUnsafeBytes {
                _ = FCGX_PutStr($0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), output)
            }
        }
    }

    private func answer(_ request: Request) -> Response {
        var news = News()
        var answer: (response: Response, fields: [String: String?]?)
        do {
            answer = try response(to: request, &news)
        } catch {
            note("\(error)")
            // A script reads its answer as JSON.
            answer = (
                Response(status: 503, body: "try again\n", headers: ["Retry-After: 1"]),
                request.route.hasPrefix(Self.api) ? ["error": "try again"] : nil
            )
        }
        answer.response.setCookie = news.setCookie
        guard var fields = answer.fields else { return answer.response }
        if let token = news.sessionToken { fields["sessiontoken"] = token }
        guard let json = try? JSONEncoder().encode(fields) else { return Response(status: 500, body: "an error\n") }
        (answer.response.type, answer.response.body) = ("application/json", String(decoding: json, as: UTF8.self))
        return answer.response
    }

    private static var api: String { "POST /api/" }

    /// The response, or what it will say as JSON.
    private func response(
        to request: Request, _ news: inout News
    ) throws -> (Response, [String: String?]?) {
        switch request.route {
        case "GET /feedback":
            guard let shown = try worker.page(for: request, &news) else {
                return (Response(status: 303, body: "", headers: ["Location: \(request.onceMore ?? "")"]), nil)
            }
            let places = ["frontend": shown.frontend, "captcha": shown.captcha, "name": shown.name]
            return (Response(type: "text/html; charset=utf-8", body: page.filled(places)), nil)
        case "GET /captcha":
            guard let letters = try worker.letters(of: request.fields["c"] ?? "") else {
                return (Response(status: 404, body: "null captcha\n"), nil)
            }
            let places = letters.enumerated().map { (String($0.offset), String($0.element)) }
            return (
                Response(type: "image/svg+xml", body: picture.filled(Dictionary(places) { first, _ in first })), nil
            )
        default:
            guard request.route.hasPrefix(Self.api),
                let action = Action(rawValue: String(request.route.dropFirst(Self.api.count)))
            else { return (Response(status: 404, body: "not found\n"), nil) }
            let reply = try worker.reply(to: action, request, &news)
            return (Response(status: reply.fields.keys.contains("error") ? 403 : 200, body: ""), reply.fields)
        }
    }
}

struct Response {
    var status = 200
    var type = "text/plain"
    var body: String
    var headers: [String] = []
    var setCookie: String?

    var text: String {
        // X-Worker: which of the processes it was.
        let all = [
            "Status: \(status)", "Content-Type: \(type)", "Cache-Control: no-store",
            "X-Worker: \(ProcessInfo.processInfo.processIdentifier)",
        ]
        return (all + headers + (setCookie.map { ["Set-Cookie: \($0)"] } ?? [])).joined(separator: "\r\n") + "\r\n\r\n"
            + body
    }
}

extension String {
    /// Text and the name of a {{place}} in turn.
    fileprivate func cutAtPlaces() -> [String] {
        split(separator: "{{", omittingEmptySubsequences: false)
            .flatMap { $0.split(separator: "}}", maxSplits: 1, omittingEmptySubsequences: false) }
            .map(String.init)
    }

    fileprivate var escaped: String {
        var text = ""
        for character in unicodeScalars {
            if "&<>\"'".unicodeScalars.contains(character) {
                text += "&#\(character.value);"
            } else {
                text.unicodeScalars.append(character)
            }
        }
        return text
    }
}

extension [String] {
    fileprivate func filled(_ places: [String: String]) -> String {
        enumerated().map { $0.offset.isMultiple(of: 2) ? $0.element : (places[$0.element] ?? "").escaped }.joined()
    }
}
