import Tokens

/// What happens to browsers, one thing at a time: each is lived by many, with other delays.
enum Mishap: String, CaseIterable, Sendable {
    case loginPolls = "login, polls"
    case loginLongPolls = "login, long polls"
    case expiredLogin = "expired, polls, login"
    case expiredSSO = "expired, single sign-on"
    case newSSO = "no cookie, single sign-on"
    case logoutLogin = "logout, login, polls"
    case logoutUpload = "logout, login, upload"
    case password = "password change, polls"
    case doubleClick = "double click"
    case doubleClickDue = "double click, rotation due"
    case replyLost = "login reply lost"
    case replyLostOther = "login reply lost, other subject"
    case rotateLost = "rotate reply lost"
    case killedAfterRotation = "app killed after rotation"
    case killedAfterLogin = "app killed after login"
    case uploads = "rotation, polls, uploads"
    case tabsRestored = "tabs restored"
    case guestRenewed = "guest renewed, polls, login"
    case rotationDue = "rotation due, polls, login"
    case payment = "back from the payment page"

    /// When the browser is looked at, seconds after the begin.
    var end: Double { self == .uploads ? 7_200 : self == .killedAfterRotation ? 2_400 : 1_400 }

    /// Whether a session made at the begin is older than `rotation.after` when the browser comes with it.
    private static let due = 1_000.0

    func live(_ visitor: Visitor) {
        let site = visitor.site
        let me = visitor.subject
        let polls = { (until: Double) in for _ in 0..<2 { visitor.pollEvery(visitor.between(0.5, 3), until: until) } }
        let start = visitor.now
        let login = { visitor.logIn() }
        switch self {
        case .loginPolls:
            site.guest {
                visitor.jar = $0; polls(start + 60)
            }
            visitor.after(5, login)
        case .loginLongPolls:
            visitor.jar = site.deadToken()
            for _ in 0..<2 { visitor.pollEvery(25, hold: 25, until: start + 60) }
            visitor.after(1.5, login)
        case .expiredLogin:
            visitor.jar = site.deadToken()
            polls(start + 60)
            visitor.after(2, login)
        case .expiredSSO, .newSSO:
            if self == .expiredSSO { visitor.jar = site.deadToken() }
            for _ in 0..<4 { visitor.after(visitor.between(0, 0.4)) { visitor.poll() } }
            visitor.after(0.2) { visitor.request({ site.logIn($0, me, $1) }, lost: .never) }
        case .logoutLogin, .logoutUpload:
            site.issue(me) { token in
                visitor.jar = token
                if self == .logoutLogin { polls(start + 60) } else { visitor.poll(upload: visitor.between(30, 300)) }
                visitor.after(3) { visitor.request(site.logOut, lost: .never) { _ in visitor.logIn() } }
            }
        case .password:
            site.issue(me) { token in
                visitor.jar = token
                polls(start + 60)
                visitor.after(5) { visitor.request({ site.changePassword($0, me, $1) }, lost: .never) }
            }
        case .doubleClick:
            site.guest {
                visitor.jar = $0; visitor.after(1) { visitor.logIn(doubleClicks: 1) }
            }
        case .doubleClickDue, .rotationDue:
            // The login page is in the cache: no visit rotates the anonymous session before the POST.
            site.issue([]) { token in
                visitor.jar = token
                visitor.request({ site.page($0, isNavigation: true, $1) }, lost: .never) { page in
                    visitor.after(Self.due - 100) {
                        if self == .rotationDue {
                            for _ in 0..<2 { visitor.pollEvery(visitor.between(0.3, 1), until: visitor.now + 60) }
                        }
                        visitor.submit(
                            page?.csrf ?? [], tries: 4, doubleClicks: self == .doubleClickDue ? 1 : 0,
                            thinks: visitor.between(4.5, 6))
                    }
                }
            }
        case .replyLost:
            site.guest {
                visitor.jar = $0; visitor.logIn(losesFirst: true)
            }
        case .replyLostOther:
            site.issue(bytes("bob")) {
                visitor.jar = $0; visitor.logIn(losesFirst: true)
            }
        case .rotateLost:
            site.issue(me) { token in
                visitor.jar = token
                visitor.request(site.rotate, lost: .always) { _ in visitor.after(5, login) }
            }
        case .killedAfterRotation:
            site.issue(me) { token in
                visitor.jar = token
                visitor.after(Self.due) {
                    visitor.navigate(lost: .never) { _ in
                        visitor.after(visitor.between(5, 60)) {
                            visitor.navigate(lost: .never) { _ in
                                visitor.jar = token
                                visitor.after(visitor.between(150, 500), login)
                            }
                        }
                    }
                }
            }
        case .killedAfterLogin:
            site.guest { token in
                visitor.jar = token
                visitor.logIn {
                    visitor.after(visitor.between(5, 60)) {
                        visitor.jar = token
                        visitor.after(visitor.between(5, 300), login)
                    }
                }
            }
        case .uploads:
            site.issue(me) { token in
                visitor.jar = token
                visitor.pollEvery(3, until: start + 4_000)
                for _ in 0..<4 {
                    visitor.after(visitor.between(0, 3_000)) { visitor.poll(upload: visitor.between(60, 2_400)) }
                }
            }
        case .tabsRestored:
            visitor.jar = site.deadToken()
            var pages: [Site.Response] = []
            for _ in 0..<6 {
                visitor.after(visitor.between(0, 0.5)) { visitor.navigate { if let page = $0 { pages.append(page) } } }
            }
            visitor.after(31) {
                guard let page = pages.randomElement(using: &visitor.random) else { return }
                visitor.submit(page.csrf, tries: 4)
            }
        case .guestRenewed:
            // Past half of its life, with a form that is open since.
            site.guest(lifetime: 2_000_000) { token in
                visitor.jar = token
                visitor.request({ site.page($0, isNavigation: true, $1) }, lost: .never) { page in
                    visitor.after(Self.due + 100) {
                        for _ in 0..<2 { visitor.pollEvery(visitor.between(0.3, 1), until: visitor.now + 60) }
                        visitor.submit(page?.csrf ?? [], tries: 4)
                    }
                }
            }
        case .payment:
            site.issue(me) { token in
                visitor.jar = token
                // What the browser holds back is still in the jar.
                for pause in [5.0, 60, 600] {
                    visitor.after(pause) {
                        visitor.request({ _, respond in site.paid(respond) }, lost: .never) { _ in visitor.navigate() }
                    }
                }
            }
        }
    }
}
