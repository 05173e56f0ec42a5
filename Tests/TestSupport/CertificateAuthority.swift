import Foundation

/// An authority of one test's own, and the certificates that it signs. Made by the openssl program.
public struct CertificateAuthority: Sendable {
    /// A certificate and its key: paths of PEM files.
    public struct Identity: Sendable {
        public let certificate: String
        public let key: String
    }

    public let identity: Identity
    private let folder: String

    /// Its certificate, for whoever is to trust it.
    public var certificate: String { identity.certificate }

    public init(in folder: String, name: String = "authority") throws {
        self.folder = folder
        identity = Identity(certificate: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
        try Self.openssl(
            ["req", "-x509"] + Self.newKey + [
                "-keyout", identity.key, "-out", identity.certificate, "-days", "3650", "-subj", "/CN=\(name)",
            ], in: folder)
    }

    /// - Parameters:
    ///   - hosts: names and addresses that it is for; one with `DNS:` before it is a name, whatever it looks like.
    ///   - year: the one year in which it is valid; nil: 30 days from now.
    public func issue(_ name: String, for hosts: [String], year: Int? = nil) throws -> Identity {
        let issued = Identity(certificate: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
        let request = "\(folder)/\(name).csr"
        try Self.openssl(
            ["req"] + Self.newKey + ["-keyout", issued.key, "-out", request, "-subj", "/CN=\(name)"], in: folder)
        let names = hosts.map { host in
            if host.hasPrefix("DNS:") { return host }
            return host.contains(":") || host.allSatisfy { "0123456789.".contains($0) } ? "IP:\(host)" : "DNS:\(host)"
        }
        let settings = "\(folder)/\(name).ca"
        let register = "\(folder)/\(name).register"
        try Data().write(to: URL(filePath: register))
        try """
        [authority]
        database = \(register)
        new_certs_dir = \(folder)
        default_md = sha256
        rand_serial = yes
        policy = any
        [any]
        commonName = supplied
        [extensions]
        \(names.isEmpty ? "basicConstraints = CA:false" : "subjectAltName = \(names.joined(separator: ","))")

        """.write(toFile: settings, atomically: true, encoding: .utf8)
        let time = year.map { ["-startdate", "\($0)0101000000Z", "-enddate", "\($0)1231000000Z"] } ?? ["-days", "30"]
        try Self.openssl(
            [
                "ca", "-batch", "-notext", "-config", settings, "-name", "authority", "-extensions", "extensions",
                "-cert", identity.certificate, "-keyfile", identity.key, "-in", request, "-out",
                issued.certificate,
            ] + time, in: folder)
        return issued
    }

    /// What redis-server needs to speak TLS, on a port and nowhere else in the network.
    /// - Parameter asksClients: whether clients must show a certificate of this authority.
    public func options(_ identity: Identity, port: Int, asksClients: Bool = false) -> [String] {
        [
            "--tls-port", "\(port)", "--tls-cert-file", identity.certificate, "--tls-key-file", identity.key,
            "--tls-ca-cert-file", certificate, "--tls-auth-clients", asksClients ? "yes" : "no",
        ]
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    private static func openssl(_ arguments: [String], in folder: String) throws {
        let tool = try Tool.run("openssl", arguments, in: folder)
        guard tool.status == 0 else { throw HarnessFailure("openssl: \(tool.errors)") }
    }
}
