// A visitor's life, with TokenCacheClient:
//
//     swift run --package-path examples/swift sessions /run/tokencached/tokencached.sock
//
// Whatever is thrown: keep the visitor's cookie, answer 503. The library has closed the connection by then, and the next
// call makes a new one; it also checks that a reply is about the token that was asked about.
import Glibc
import TokenCacheClient

/// The holder's subject and what the response must do with the cookie, whoever the holder is.
func outcome(_ visit: Visit) -> (status: String, subject: String?, change: TokenChange) {
    switch visit {
    case .session(let holder, let change, _), .guest(let holder, let change, _):
        ("valid", holder.subject, change)
    case .refused(let why, let holder, let change, _):
        ("\(why)", holder.subject, change)
    }
}

func text(_ validation: Validation) -> String {
    switch validation {
    case .session, .guest: "valid"
    case .refused(.revoked(let reason)): "revoked, \(reason?.rawValue ?? "")"
    case .refused(let why): "\(why)"
    }
}

func live(_ client: BlockingClient) throws {
    // Whatever the browser sent, even nothing. A change that replaces the token goes into the response.
    let first = outcome(try client.call(.visit(nil)))
    guard let cookie = first.change.replacement else { return print("first visit: no token") }
    print("first visit: none - set the cookie")
    let second = outcome(try client.call(.visit(cookie)))
    print("second visit: \(second.status) - new cookie: \(second.change.replacement == nil ? "no" : "yes")")

    // After the password was checked.
    let login = try client.call(.login(cookie, subject: "ann"))
    print("old cookie after login: \(text(try client.call(.validate(cookie))))")
    let third = outcome(try client.call(.visit(login.token)))
    print("visit after login: \(third.status), subject \(third.subject ?? "")")

    _ = try client.call(.revoke(login.token))
    print("after logout: \(text(try client.call(.validate(login.token))))")
}

do {
    let path = CommandLine.arguments.dropFirst().first ?? SocketPath.standard
    try live(BlockingClient(socketPath: path))
} catch {
    let line = Array("503 Service Unavailable; the cookie stays: \(error)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit(1)
}
