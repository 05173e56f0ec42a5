/// Why TLS to a peer failed. The descriptions hold nothing that a peer made up but the names in its certificate.
public enum TLSFault: Error, Equatable, Sendable {
    /// The certificate is for others.
    /// - Parameters:
    ///   - expected: the name or address that was asked for.
    ///   - names: what the certificate has instead, at most a few, in printable ASCII.
    case wrongName(expected: String, names: [String])
    /// It has expired.
    case expired
    /// It is not valid yet, by this host's clock.
    case notYetValid
    /// Nobody who is trusted here has signed it; OpenSSL's words.
    case untrusted(String)
    /// The peer asks for a certificate, and none was shown.
    case certificateRequired
    /// The peer refused the certificate that was shown; its alert in OpenSSL's words.
    case certificateRefused(String)
    /// What came back is not TLS.
    case notSpoken
    /// The connection ended, or nothing came, during the handshake.
    case unfinished
    /// Anything else; OpenSSL's words.
    case failed(String)
}
