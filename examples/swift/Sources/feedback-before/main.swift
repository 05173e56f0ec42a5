// The failure: what must be common to three processes lives in each of them.
import FeedbackSite

final class Before: Feedback {
    private let frontend = randomHex(64)
    private var solutions: [String: String] = [:]

    func page(for request: Request, _ news: inout News) -> FeedbackPage? {
        FeedbackPage(frontend: frontend, captcha: newCaptcha())
    }

    func letters(of captcha: String) -> String? { solutions[captcha] }

    func reply(to action: Action, _ request: Request, _ news: inout News) -> Reply {
        guard request.frontend == frontend else { return Reply(["captcha": nil, "error": "invalid frontend token"]) }
        if action == .captcha { return Reply(["captcha": newCaptcha()]) }
        guard let solution = solutions.removeValue(forKey: request.fields["captcha"] ?? "") else {
            return .refused("null captcha")
        }
        guard solution == request.fields["answer"]?.uppercased() else { return .refused("wrong letters") }
        return Reply(["outcome": "thank you", "name": request.fields["name"]])
    }

    private func newCaptcha() -> String {
        let captcha = randomHex(16)
        solutions[captcha] = String((0..<5).compactMap { _ in "ACDEFHJKLMNPRTUVWXY3479".randomElement() })
        return captcha
    }
}

func randomHex(_ count: Int) -> String {
    (0..<2 * count).map { _ in String(Int.random(in: 0..<16), radix: 16) }.joined()
}

try Site(Before(), pages: CommandLine.pages).serve()
