// A visitor's life with a site on top of TokenCacheClient:
//
//     swift run --package-path examples/swift sessions /run/tokencached/tokencached.sock
//
// Whatever is thrown: answer 503, with the cookie of the last answer that had a token, if one had. The library has closed
// the connection by then, and the next call makes a new one; it also checks that a reply is about the token that was
// asked about.
import Glibc
import TokenCacheClient

func live(at path: String) throws {
    var browser = Browser(Site(BlockingClient(socketPath: path)))
    let ann = ["name": "ann", "password": "apple"]
    try browser.go("first visit", "GET", "/", cookies: nil)
    try browser.go("second visit", "GET", "/", cookies: browser.jar)
    let (before, sent) = (browser.jar, browser.csrf)
    let form = { (csrf: String) in ann.merging(["csrf": csrf]) { $1 } }
    try browser.go("a forged form", "POST", "/login", cookies: browser.jar, form: form("forged"))
    try browser.go("login", "POST", "/login", cookies: browser.jar, form: form(browser.csrf))
    // The second click was sent with the cookie of before; so was the request of another tab.
    try browser.go("second click", "POST", "/login", cookies: before, form: form(sent))
    try browser.go("late request", "GET", "/", cookies: before)
    try browser.go("visit after login", "GET", "/", cookies: browser.jar)
    try browser.go("a note", "POST", "/note", cookies: browser.jar, form: ["csrf": browser.csrf, "note": "milk"])
    try browser.go("logout", "POST", "/logout", cookies: browser.jar, form: ["csrf": browser.csrf])
    try browser.go("after logout", "GET", "/", cookies: browser.jar)
}

/// A worker for the test of many browsers (../../../testing/sites.py): a line a request, a line a response.
func serveLines(at path: String) {
    let site = Site(BlockingClient(socketPath: path))
    while let line = readLine() {
        let words = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 9 else { return }
        let response = site.respond(
            to: Request(
                method: words[0], path: words[1], query: words[2], cookies: words[3], site: "same-origin",
                mode: words[4],
                form: ["csrf": words[5], "name": words[6], "password": words[7], "note": words[8]]))
        let headers = ["Set-Cookie", "Location", "Cache-Control", "Retry-After"].map { response.headers[$0] ?? "" }
        print(response.status, headers.joined(separator: "\t"), response.body, separator: "\t")
        fflush(nil)
    }
}

let arguments = CommandLine.arguments.dropFirst()
do {
    if arguments.first == "--lines" {
        serveLines(at: arguments.dropFirst().first ?? SocketPath.standard)
    } else {
        try live(at: arguments.first ?? SocketPath.standard)
    }
} catch let stopped as Browser.Stopped {
    let line = Array("503 Service Unavailable: \(stopped.why)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit(1)
}
