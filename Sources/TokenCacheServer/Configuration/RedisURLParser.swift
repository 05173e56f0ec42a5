extension RedisURL {
    /// Reads `redis.url`. The fault says what is wrong without quoting any of it: it may hold a password.
    static func parse(_ text: String) -> Result<RedisURL, ValueFault> {
        if text == "embedded" { return .success(.embedded) }
        guard text.utf8.count <= maxBytes else { return .failure(ValueFault("is longer than \(maxBytes) bytes")) }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return .failure(ValueFault("has a space, a control character or a character outside ASCII"))
        }
        guard let mark = text.firstRange(of: "://") else { return .failure(ValueFault("is not a Redis address")) }
        let rest = text[mark.upperBound...]
        do {
            switch text[..<mark.lowerBound] {
            case "unix": return .success(try unix(rest))
            case "redis": return .success(try standalone(rest, tls: false))
            case "rediss": return .success(try standalone(rest, tls: true))
            case "sentinel": return .success(try sentinel(rest))
            case "cluster": return .success(try cluster(rest))
            default: return .failure(ValueFault("has an unknown scheme"))
            }
        } catch {
            return .failure(error)
        }
    }

    /// `[user:password@]/path`; an `@` in the path is one.
    private static func unix(_ rest: Substring) throws(ValueFault) -> RedisURL {
        guard !rest.hasPrefix("/"), let mark = rest.firstRange(of: "@/") else {
            return RedisURL(target: .unix(path: try socketPath(rest)))
        }
        var credentials = Credentials()
        try credentials.read(rest[..<mark.lowerBound])
        let path = try socketPath(rest[rest.index(after: mark.lowerBound)...])
        return RedisURL(target: .unix(path: path), user: credentials.user, password: credentials.password)
    }

    private static func socketPath(_ rest: Substring) throws(ValueFault) -> String {
        guard rest.hasPrefix("/"), rest.utf8.count > 1 else {
            throw ValueFault("lacks the absolute path of a socket after unix://")
        }
        guard rest.utf8.count <= SocketPath.maxBytes else {
            throw ValueFault("has a socket path longer than \(SocketPath.maxBytes) bytes")
        }
        return String(rest)
    }

    private static func standalone(_ rest: Substring, tls: Bool) throws(ValueFault) -> RedisURL {
        let parts = try Parts(rest, defaultPort: 6379, allowsQuery: false)
        guard parts.endpoints.count == 1, let endpoint = parts.endpoints.first else {
            throw ValueFault("names more than one server")
        }
        var url = parts.url(.standalone(endpoint))
        url.tls = tls
        if !parts.path.isEmpty {
            guard let database = strictNumber(parts.path), database <= 9999 else {
                throw ValueFault("has a database that is not a number from 0 to 9999")
            }
            url.database = database
        }
        return url
    }

    private static func sentinel(_ rest: Substring) throws(ValueFault) -> RedisURL {
        let parts = try Parts(rest, defaultPort: 26379, allowsQuery: true)
        guard !parts.path.isEmpty, !parts.path.contains("/") else {
            throw ValueFault("lacks the master's name after the Sentinels")
        }
        return parts.url(.sentinel(parts.endpoints, master: String(parts.path)))
    }

    private static func cluster(_ rest: Substring) throws(ValueFault) -> RedisURL {
        let parts = try Parts(rest, defaultPort: 6379, allowsQuery: true)
        guard parts.path.isEmpty else { throw ValueFault("has a path; a cluster has only database 0") }
        return parts.url(.cluster(parts.endpoints))
    }

    /// A decimal number of at most five digits and nothing else.
    private static func strictNumber(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    /// `user`, `user:password` or `:password`, with %-escapes.
    private struct Credentials {
        var user: String?
        var password: SecretText?

        mutating func read(_ text: Substring) throws(ValueFault) {
            let colon = text.firstIndex(of: ":")
            guard let user = Self.unescaped(text[..<(colon ?? text.endIndex)]),
                let password = Self.unescaped(colon.map { text[text.index(after: $0)...] } ?? "")
            else { throw ValueFault("has a broken %-escape in user or password") }
            self.user = user.isEmpty ? nil : user
            self.password = password.isEmpty ? nil : SecretText(password)
        }

        /// `text` with `%41` and its like replaced, or nil if an escape is cut short, no hex, or the result no UTF-8.
        private static func unescaped(_ text: Substring) -> String? {
            var bytes: [UInt8] = []
            var rest = text.utf8
            while let byte = rest.popFirst() {
                if byte != UInt8(ascii: "%") {
                    bytes.append(byte)
                    continue
                }
                guard let high = rest.popFirst(), let low = rest.popFirst(),
                    let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16),
                    high != UInt8(ascii: "+")
                else { return nil }
                bytes.append(value)
            }
            return String(validating: bytes, as: UTF8.self)
        }
    }

    /// `[user:password@]host:port[,host:port…][/path][?tls=true]`
    private struct Parts {
        var credentials = Credentials()
        var endpoints: [Endpoint] = []
        var path: Substring = ""
        var tls = false

        init(_ text: Substring, defaultPort: UInt16, allowsQuery: Bool) throws(ValueFault) {
            var rest = text
            // The last @: a password with an unescaped @, / or ? in it still ends up in the password, not in a message.
            if let at = rest.lastIndex(of: "@") {
                try credentials.read(rest[..<at])
                rest = rest[rest.index(after: at)...]
            }
            if let mark = rest.firstIndex(of: "?") {
                try readQuery(rest[rest.index(after: mark)...], isAllowed: allowsQuery)
                rest = rest[..<mark]
            }
            if let slash = rest.firstIndex(of: "/") {
                path = rest[rest.index(after: slash)...]
                rest = rest[..<slash]
            }
            let places = rest.split(separator: ",", omittingEmptySubsequences: false)
            guard places.count <= RedisURL.maxEndpoints else {
                throw ValueFault("names more than \(RedisURL.maxEndpoints) servers")
            }
            do throws(ValueFault) {
                for place in places { endpoints.append(try Self.endpoint(place, defaultPort)) }
            } catch {
                // What was taken for the end of the credentials may stand within the password.
                guard text.contains("@") else { throw error }
                throw ValueFault(
                    "\(error.text); @, /, : and ? in user or password must be percent-encoded (@ is %40)")
            }
        }

        func url(_ target: Target) -> RedisURL {
            RedisURL(target: target, user: credentials.user, password: credentials.password, tls: tls)
        }

        private mutating func readQuery(_ text: Substring, isAllowed: Bool) throws(ValueFault) {
            guard isAllowed else { throw ValueFault("has a query; for TLS write rediss://") }
            switch text {
            case "tls=true": tls = true
            case "tls=false": tls = false
            default: throw ValueFault("has a query other than ?tls=true")
            }
        }

        private static func endpoint(_ text: Substring, _ defaultPort: UInt16) throws(ValueFault) -> Endpoint {
            var host = text
            var port: Substring?
            if text.hasPrefix("[") {
                guard let end = text.firstIndex(of: "]") else { throw ValueFault("has a [ without ]") }
                host = text[text.index(after: text.startIndex)..<end]
                let tail = text[text.index(after: end)...]
                guard tail.isEmpty || tail.hasPrefix(":") else { throw ValueFault("has text after ]") }
                port = tail.isEmpty ? nil : tail.dropFirst()
            } else if let colon = text.firstIndex(of: ":") {
                host = text[..<colon]
                port = text[text.index(after: colon)...]
            }
            let isAddress = text.hasPrefix("[")
            guard (1...253).contains(host.utf8.count), host.utf8.allSatisfy({ isHostByte($0, inBrackets: isAddress) })
            else { throw ValueFault("has a host that is no name and no address") }
            guard let port else { return Endpoint(host: String(host), port: defaultPort) }
            guard let number = strictNumber(port), let valid = UInt16(exactly: number), valid > 0 else {
                throw ValueFault("has a port that is not a number from 1 to 65535")
            }
            return Endpoint(host: String(host), port: valid)
        }

        private static func isHostByte(_ byte: UInt8, inBrackets: Bool) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
            case UInt8(ascii: ":"), UInt8(ascii: "%"): inBrackets
            default: false
            }
        }
    }
}
