import Glibc
import SeededRandom

/// A browser: a cookie jar that several requests share, whose answers are late, lost or overtake each other.
final class Visitor {
    let site: Site
    var random: SeededRandom
    var jar: [UInt8] = []
    /// Seconds, there and back.
    let roundTrip: Double
    /// How many of a hundred answers are lost by chance.
    let lostPercent: Double
    let subject: [UInt8]
    /// What went wrong.
    var formsAgain = 0
    var logins = 0
    var isStuck = false

    enum Loss { case never, always, byChance }

    init(_ site: Site, seed: UInt64, lostPercent: Double = 0, subject: String = "ann") {
        self.site = site
        random = SeededRandom(seed: seed)
        roundTrip = [0.05, 0.2, 0.6][Int(seed % 3)]
        self.lostPercent = lostPercent
        self.subject = bytes(subject)
    }

    var now: Double { Double(site.agenda.now) / 1e9 }
    func between(_ low: Double, _ high: Double) -> Double { Double.random(in: low...high, using: &random) }
    func chance(_ share: Double) -> Bool { between(0, 1) < share }
    func after(_ seconds: Double, _ body: @escaping () -> Void) {
        site.agenda.after(SimulatedTime(seconds * 1e9), body)
    }

    /// One way: most of them short, some of them seconds.
    private func delay() -> Double {
        let gauss = sqrt(-2 * log(between(1e-9, 1))) * cos(2 * .pi * between(0, 1))
        return exp(0.6 * gauss) * roundTrip / 2 + (chance(0.03) ? between(1, 10) : 0)
    }

    typealias Handler = (_ token: [UInt8], _ respond: @escaping (Site.Response) -> Void) -> Void

    /// - Parameters:
    ///   - hold: how long the worker keeps the answer back, seconds.
    ///   - upload: how long the request takes to arrive.
    ///   - done: nil where the answer was lost.
    func request(
        _ handler: @escaping Handler, hold: Double = 0, upload: Double = 0, lost: Loss = .byChance,
        _ done: @escaping (Site.Response?) -> Void = { _ in }
    ) {
        let token = jar
        after(delay() + upload) { [self] in
            handler(token) { [self] response in
                let isLost =
                    switch lost {
                    case .never: false
                    case .always: true
                    case .byChance: chance(lostPercent / 100)
                    }
                guard !isLost else { return after(hold) { done(nil) } }
                after(hold + delay()) { [self] in
                    if let cookie = response.cookie { jar = cookie }
                    done(response)
                }
            }
        }
    }

    /// A page that the browser goes to; where it is sent to it again, it sends what it has now.
    func navigate(lost: Loss = .byChance, mayRepeat: Bool = true, _ done: @escaping (Site.Response?) -> Void = { _ in })
    {
        request({ [site] in site.page($0, isNavigation: true, $1) }, lost: lost) { [self] response in
            guard let response, response.isRedirect, mayRepeat else { return done(response) }
            navigate(lost: lost, mayRepeat: false, done)
        }
    }

    func poll(hold: Double = 0, upload: Double = 0) {
        request({ [site] in site.page($0, isNavigation: false, $1) }, hold: hold, upload: upload)
    }

    func pollEvery(_ seconds: Double, hold: Double = 0, until end: Double) {
        guard now < end else { return }
        poll(hold: hold)
        after(seconds * between(0.8, 1.2)) { [self] in pollEvery(seconds, hold: hold, until: end) }
    }

    // MARK: Logging in

    /// Opens the login page and submits it; as long as the form is shown again, submits it again.
    /// - Parameters:
    ///   - doubleClicks: the share of those who do.
    ///   - losesFirst: the answer to the first POST is lost.
    func logIn(doubleClicks: Double = 0, losesFirst: Bool = false, _ done: @escaping () -> Void = {}) {
        navigate(lost: .never) { [self] page in
            submit(page?.csrf ?? [], tries: 4, doubleClicks: doubleClicks, losesFirst: losesFirst, done)
        }
    }

    func submit(
        _ csrf: [UInt8], tries: Int, doubleClicks: Double = 0, losesFirst: Bool = false, thinks: Double = 5,
        _ done: @escaping () -> Void = {}
    ) {
        guard tries > 0 else {
            isStuck = true
            return done()
        }
        let again = { [self] (csrf: [UInt8]) in submit(csrf, tries: tries - 1, done) }
        after(thinks) { [self] in
            let isDouble = chance(doubleClicks)
            // A browser drops the answer to the first click most of the time.
            if isDouble { post(csrf, lost: chance(0.5) ? .always : .never) { _ in } }
            after(isDouble ? 0.25 : 0) { [self] in
                post(csrf, lost: isDouble ? .never : losesFirst ? .always : .byChance) { [self] response in
                    guard let response else {
                        // An error page: the login page is opened again after a while.
                        return after(5) { [self] in
                            navigate(lost: .never) { [self] page in
                                if page?.subject == subject { return done() }
                                again(page?.csrf ?? [])
                            }
                        }
                    }
                    if response.isFormAgain { again(response.csrf) } else { done() }
                }
            }
        }
    }

    private func post(_ csrf: [UInt8], lost: Loss, _ done: @escaping (Site.Response?) -> Void) {
        request({ [site, subject] in site.logIn($0, subject, csrf: csrf, $1) }, lost: lost) { [self] response in
            if response?.isFormAgain == true { formsAgain += 1 }
            if response?.isFormAgain == false { logins += 1 }
            done(response)
        }
    }
}
