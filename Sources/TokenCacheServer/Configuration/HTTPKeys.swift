internal import EventLoop
internal import Tokens
internal import WireProtocol

/// HTTP: forward auth, metrics, health, the status page.
struct HTTPKeys: KeySection {
    let listen = SettingKey(
        "http.listen", .httpListeners, default: [], .restart, "where HTTP is spoken, and what for")
    let hosts = SettingKey(
        "http.hosts", .names, default: [], .reload, "names that requests over TCP may ask for, besides addresses")
    let rules = SettingKey(
        map: "http.rules", of: "rule name", .httpRule, .reload, memberNames: HTTPRule.isName,
        "what is asked of a visitor under /auth-<name>")
    let cookieName = SettingKey(
        "http.cookie-name",
        .text(allowed: "1 to 64 letters, digits and !#$%&'*+-.^_`|~") { text in
            (1...64).contains(text.utf8.count) && HTTPText.isToken(Array(text.utf8))
        }, default: "__Host-tc", .reload, "the cookie with the session token")
    let cookieSameSite = SettingKey(
        "http.cookie-samesite", .choice, default: SameSite.lax, .reload, "SameSite of the cookie")
    let cookiePath = SettingKey(
        "http.cookie-path", .urlPath, default: "/", .reload, "Path of the cookie")
    let cookieDomain = SettingKey(
        "http.cookie-domain",
        .text(allowed: "a domain name of at most 253 characters, or empty for the site's own host only") { text in
            text.isEmpty || HTTPText.isHostName(text)
        }, default: "", .reload, "Domain of the cookie")
    let clientIPHeader = SettingKey(
        "http.client-ip-header",
        .text(allowed: "name of a header field, or empty for none") { $0.isEmpty || HTTPText.isToken(Array($0.utf8)) },
        default: "", .reload, "the field whose last element is the client's address")
    let afterLogout = SettingKey(
        "http.after-logout", .urlPath, default: "/", .reload, "where a browser goes after POST /logout")
}

enum SameSite: String, CaseIterable, Sendable {
    case lax, strict, none
}

/// What a listener of HTTP serves.
enum HTTPPurpose: String, CaseIterable, Sendable {
    /// `/auth…` and `/logout`.
    case auth
    case metrics
    /// `/healthz`, `/readyz`.
    case health
    /// `/`, `/status.json`.
    case status
}

/// An element of `http.listen`.
struct HTTPListenAddress: Equatable, Sendable {
    enum Place: Equatable, Sendable {
        /// - Parameter group: name or number; empty leaves the daemon's own.
        case unix(path: String, mode: UInt32, group: String)
        /// - Parameter host: a numeric address.
        case tcp(host: String, port: UInt16)

        var path: String? { if case .unix(let path, _, _) = self { path } else { nil } }

        /// Whether two listeners would be at one place.
        func isSame(as other: Place) -> Bool {
            switch (self, other) {
            case (.unix(let path, _, _), .unix(let other, _, _)): return path == other
            case (.tcp(let host, let port), .tcp(let otherHost, let otherPort)):
                guard let address = NumericAddress(host: host, port: port),
                    let other = NumericAddress(host: otherHost, port: otherPort)
                else { return false }
                return address.isSame(as: other)
            default: return false
            }
        }
    }

    var place: Place
    var serve: [HTTPPurpose]
    /// Other hosts may ask.
    var isRemote = false

    static let standardMode: UInt32 = 0o660

    /// What is served where nothing is said: over TCP all but `/auth`, which everybody on the host could ask then.
    static func standardPurposes(isTCP: Bool) -> [HTTPPurpose] {
        HTTPPurpose.allCases.filter { !(isTCP && $0 == .auth) }
    }

    init(_ place: Place, serve: [HTTPPurpose]? = nil, isRemote: Bool = false) {
        self.place = place
        if case .tcp = place {
            self.serve = serve ?? Self.standardPurposes(isTCP: true)
        } else {
            self.serve = serve ?? Self.standardPurposes(isTCP: false)
        }
        self.isRemote = isRemote
    }

    /// `unix:/path` or `address:port`.
    init(shortForm text: String) throws(ValueFault) {
        if text.hasPrefix("unix:") {
            self.init(try Self.unix(String(text.dropFirst(5))))
        } else {
            self.init(try Self.tcp(text))
            try checkReach()
        }
    }

    init(_ node: YAMLNode) throws(ValueFault) {
        if case .scalar(let text, _) = node.content {
            try self.init(shortForm: text)
            return
        }
        let map = try MapReader(node, known: ["unix", "tcp", "serve", "mode", "group", "remote"])
        let serve = try map.values("serve", SettingType<HTTPPurpose>.choice)
        if let path = try map.text("unix") {
            guard !map.has("tcp"), !map.has("remote") else {
                throw ValueFault("holds unix, and tcp or remote: a listener has one place")
            }
            self.init(
                try Self.unix(
                    path, mode: try map.value("mode", .mode) ?? Self.standardMode,
                    group: try map.text("group") ?? ""), serve: serve)
        } else if let address = try map.text("tcp") {
            guard !map.has("mode"), !map.has("group") else {
                throw ValueFault("holds tcp, and mode or group, which are of a Unix socket")
            }
            self.init(
                try Self.tcp(address), serve: serve, isRemote: try map.value("remote", .boolean) ?? false)
            try checkReach()
        } else {
            throw ValueFault("holds neither unix nor tcp")
        }
    }

    private static func unix(_ path: String, mode: UInt32 = standardMode, group: String = "") throws(ValueFault)
        -> Place
    {
        guard path.hasPrefix("/"), path.utf8.count <= SocketPath.maxBytes, !path.utf8.contains(0) else {
            throw ValueFault("holds no absolute path of at most \(SocketPath.maxBytes) bytes")
        }
        guard group.isEmpty || HostNames.isName(group) else {
            throw ValueFault("holds group, which is no name or number")
        }
        return .unix(path: path, mode: mode, group: group)
    }

    private static func tcp(_ text: String) throws(ValueFault) -> Place {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw ValueFault("holds no address with a port")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw ValueFault("holds an IPv6 address without brackets")
        }
        if host == "localhost" { host = "127.0.0.1" }
        guard NumericAddress(host: host) != nil else { throw ValueFault("holds no IPv4 or [IPv6] address with a port") }
        return .tcp(host: host, port: port)
    }

    private func checkReach() throws(ValueFault) {
        guard case .tcp(let host, _) = place, NumericAddress(host: host)?.isLoopback != true, !isRemote else { return }
        throw ValueFault("can be reached from other hosts: say {tcp: …, remote: true} if that is meant")
    }

    var description: String {
        let serve = "serve: [\(serve.map(\.rawValue).joined(separator: ", "))]"
        switch place {
        case .unix(let path, let mode, let group):
            let group =
                group.isEmpty ? "" : ", group: \(YAMLNode(line: 1, content: .scalar(group, isPlain: false)).flow)"
            let path = YAMLNode(line: 1, content: .scalar(path, isPlain: false)).flow
            return "{unix: \(path), mode: \(SettingType<UInt32>.mode.show(mode))\(group), \(serve)}"
        case .tcp(let host, let port):
            let host = host.contains(":") ? "[\(host)]" : host
            return "{tcp: \"\(host):\(port)\", \(serve)\(isRemote ? ", remote: true" : "")}"
        }
    }
}

extension SettingType where Value == [HTTPListenAddress] {
    /// Short forms, comma between them; or as in the file, a list or a single map.
    static var httpListeners: Self {
        SettingType(
            name: "list",
            allowed:
                "unix:/path and address:port, or {unix: /path, mode, group, serve: [auth, metrics, health, status]} "
                + "and {tcp: address:port, serve, remote: true}",
            isStructured: true,
            parse: { text in
                do throws(ValueFault) {
                    // [::1]:9180 begins with a bracket, too.
                    guard text.hasPrefix("{") || (text.hasPrefix("[") && text.hasSuffix("]")) else {
                        var addresses: [HTTPListenAddress] = []
                        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
                            addresses.append(try HTTPListenAddress(shortForm: String(part)))
                        }
                        return .success(addresses)
                    }
                    guard let node = try? YAMLReader.read(Array(text.utf8)) else { throw ValueFault("is not YAML") }
                    let nodes = if case .sequence(let elements) = node.content { elements } else { [node] }
                    var addresses: [HTTPListenAddress] = []
                    for node in nodes { addresses.append(try HTTPListenAddress(node)) }
                    return .success(addresses)
                } catch { return .failure(error) }
            },
            show: { $0.isEmpty ? "" : "[\($0.map(\.description).joined(separator: ", "))]" })
    }
}

extension SettingType where Value == [String] {
    /// Names of hosts.
    static var names: Self {
        SettingType(
            name: "list", allowed: "host names", isStructured: true,
            parse: { text in
                let node = text.hasPrefix("[") ? try? YAMLReader.read(Array(text.utf8)) : nil
                var names: [String] = []
                if case .sequence(let elements)? = node?.content {
                    for element in elements {
                        guard case .scalar(let name, _) = element.content else {
                            return .failure(ValueFault("holds what is no name"))
                        }
                        names.append(name)
                    }
                } else {
                    names = text.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
                }
                guard names.allSatisfy(HTTPText.isHostName) else {
                    return .failure(ValueFault("holds what is no host name"))
                }
                return .success(names.map { $0.lowercased() })
            },
            show: { $0.joined(separator: ",") })
    }
}

extension SettingType where Value == String {
    /// A path of this site that a browser is sent to: never another site.
    static var urlPath: Self {
        .text(allowed: "a path that begins with one /, of at most 1024 visible ASCII characters") {
            HTTPText.isOwnPath($0)
        }
    }
}

/// What is asked of a visitor, and what they get who are not let in: an element of `http.rules`.
struct HTTPRule: Equatable, Sendable {
    enum Visitor: String, CaseIterable, Sendable {
        /// A good token of anybody, guests too.
        case none
        /// Somebody who is logged in.
        case subject
    }

    enum Access: String, CaseIterable, Sendable {
        /// As VALIDATE: renews and rotates.
        case touch
        /// Changes nothing: for assets, and for what a shared cache may store.
        case look
    }

    enum Denial: String, CaseIterable, Sendable {
        /// 401.
        case status
        /// 302 to the login page, for pages; else 401.
        case redirect
        /// 401 with the login page in `X-Auth-Redirect`.
        case header
    }

    /// A response field, and the session's data in it.
    struct Header: Equatable, Sendable {
        var name: [UInt8]
        /// `subject`, or a field of the session's data.
        var field: [UInt8]
        var isSubject: Bool { field == Array("subject".utf8) }
    }

    var require = Visitor.subject
    /// They proved who they are at most so long ago.
    var loginWithin: Duration?
    var access = Access.touch
    var onDeny = Denial.status
    var login = "/login"
    var returnParameter = "return_to"
    var headers: [Header] = []

    /// What `/auth` asks.
    static let standardName = "user"
    static let maxHeaders = 32

    /// Fit to stand behind `/auth-`.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
    }

    init() {}

    init(_ node: YAMLNode) throws(ValueFault) {
        let map = try MapReader(
            node, known: ["require", "login-within", "access", "on-deny", "login", "return-parameter", "headers"])
        require = try map.value("require", .choice) ?? .subject
        loginWithin = try map.value("login-within", .duration(.milliseconds(1)...(.days(400))))
        access = try map.value("access", .choice) ?? .touch
        onDeny = try map.value("on-deny", .choice) ?? .status
        login = try map.value("login", .urlPath) ?? "/login"
        returnParameter =
            try map.value("return-parameter", .text(allowed: "1 to 64 letters, digits, - and _", rule: HTTPRule.isName))
            ?? "return_to"
        for (name, field) in try map.pairs("headers") ?? [] {
            guard HTTPText.isToken(Array(name.utf8)), name.utf8.count <= 64, !HTTPText.isReserved(name) else {
                throw ValueFault("holds headers, in which a name is no free name of a header field")
            }
            guard (1...256).contains(field.utf8.count) else {
                throw ValueFault("holds headers, in which a field of the session has not 1 to 256 bytes")
            }
            headers.append(Header(name: Array(name.utf8), field: Array(field.utf8)))
        }
        guard headers.count <= Self.maxHeaders else { throw ValueFault("holds more than \(Self.maxHeaders) headers") }
    }

    var description: String {
        var parts = ["require: \(require.rawValue)"]
        if let loginWithin { parts.append("login-within: \(DurationText.text(loginWithin))") }
        parts.append("access: \(access.rawValue)")
        parts.append("on-deny: \(onDeny.rawValue)")
        if onDeny != .status {
            parts.append("login: \"\(login)\"")
            parts.append("return-parameter: \(returnParameter)")
        }
        if !headers.isEmpty {
            let pairs = headers.map { header in
                let field = YAMLNode(
                    line: 1, content: .scalar(String(decoding: header.field, as: UTF8.self), isPlain: false))
                return "\"\(String(decoding: header.name, as: UTF8.self))\": \(field.flow)"
            }
            parts.append("headers: {\(pairs.joined(separator: ", "))}")
        }
        return "{\(parts.joined(separator: ", "))}"
    }
}

extension SettingType where Value == HTTPRule {
    static var httpRule: Self {
        SettingType(
            name: "rule",
            allowed:
                "{require: none | subject, login-within, access: touch | look, on-deny: status | redirect | header, "
                + "login, return-parameter, headers: {Field: data}}",
            isStructured: true,
            parse: { text in
                do throws(ValueFault) {
                    guard let node = try? YAMLReader.read(Array(text.utf8)) else { throw ValueFault("is no map") }
                    return .success(try HTTPRule(node))
                } catch { return .failure(error) }
            },
            show: \.description)
    }
}

/// What may stand in HTTP. Source: RFC 9110, 5.6.2; RFC 3986.
enum HTTPText {
    /// A token: the name of a field or a cookie.
    static func isToken(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy(HTTPRequestReader.isTokenByte)
    }

    /// The name of a host or a domain.
    static func isHostName(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0)
                    || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
            }
    }

    /// A path of this site: what begins with two slashes, or a slash and a backslash, names another one to browsers.
    static func isOwnPath(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return (1...1024).contains(bytes.count) && bytes[0] == UInt8(ascii: "/")
            && bytes.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "\"") }
            && !(bytes.count > 1 && (bytes[1] == UInt8(ascii: "/") || bytes[1] == UInt8(ascii: "\\")))
    }

    /// A field that this daemon writes itself, or that says how a message is read.
    static func isReserved(_ name: String) -> Bool {
        [
            "date", "content-length", "content-type", "transfer-encoding", "connection", "cache-control", "set-cookie",
            "location", "www-authenticate", "retry-after", "x-session-token", "x-auth-sid", "x-auth-subject",
            "x-auth-time", "x-auth-status", "x-auth-reason", "x-auth-redirect",
        ].contains(name.lowercased())
    }
}
