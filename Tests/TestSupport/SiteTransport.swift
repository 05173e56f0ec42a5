/// How the servers of a site, and who asks them, speak: in the clear, or by TLS and nothing else.
struct SiteTransport: Sendable {
    private let authority: CertificateAuthority?
    /// One for all: they are at one address.
    private let identity: CertificateAuthority.Identity?

    /// - Parameter authority: signs for TLS; nil: there is none.
    init(_ authority: CertificateAuthority?) throws {
        self.authority = authority
        identity = try authority?.issue("site", for: ["127.0.0.1"])
    }

    /// What redis-server needs to listen on a port, and to reach its like.
    func options(port: Int) -> [String] {
        guard let authority, let identity else { return ["--port", "\(port)"] }
        return ["--port", "0", "--tls-replication", "yes", "--tls-cluster", "yes"]
            + authority.options(identity, port: port)
    }

    /// The same as lines of a file of configuration.
    func lines(port: Int) -> [String] {
        let words = options(port: port)
        return stride(from: 0, to: words.count - 1, by: 2).map { "\(words[$0].dropFirst(2)) \(words[$0 + 1])" }
    }

    /// What redis-cli needs besides the port.
    var tool: [String] { authority.map { ["--tls", "--cacert", $0.certificate] } ?? [] }

    /// The end of `redis.url`.
    var query: String { authority == nil ? "" : "?tls=true" }

    /// What a daemon must be told besides.
    var settings: [String: String] { authority.map { ["redis.tls-ca-cert-file": $0.certificate] } ?? [:] }
}
