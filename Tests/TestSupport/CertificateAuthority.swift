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
    ///   - hosts: names and IPv4 addresses that it is for.
    ///   - clock: when it is signed, for 30 days, as faketime(1) takes it; nil: now.
    public func issue(_ name: String, for hosts: [String], clock: String? = nil) throws -> Identity {
        let issued = Identity(certificate: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
        let request = "\(folder)/\(name).csr"
        try Self.openssl(
            ["req"] + Self.newKey + ["-keyout", issued.key, "-out", request, "-subj", "/CN=\(name)"], in: folder)
        let names = hosts.map { $0.allSatisfy { "0123456789.".contains($0) } ? "IP:\($0)" : "DNS:\($0)" }
        let extensions = "\(folder)/\(name).ext"
        let text = names.isEmpty ? "basicConstraints=CA:false\n" : "subjectAltName=\(names.joined(separator: ","))\n"
        try text.write(toFile: extensions, atomically: true, encoding: .utf8)
        try Self.openssl(
            [
                "x509", "-req", "-in", request, "-CA", identity.certificate, "-CAkey", identity.key, "-set_serial",
                "\(UInt32.random(in: 1 ... .max))", "-days", "30", "-extfile", extensions, "-out", issued.certificate,
            ], clock: clock, in: folder)
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

    private static func openssl(_ arguments: [String], clock: String? = nil, in folder: String) throws {
        let words = (clock.map { ["faketime", $0] } ?? []) + ["openssl"] + arguments
        let tool = try Tool.run(words[0], Array(words.dropFirst()), in: folder)
        guard tool.status == 0 else { throw HarnessFailure("openssl: \(tool.errors)") }
    }
}
