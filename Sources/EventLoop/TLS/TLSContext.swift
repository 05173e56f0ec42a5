internal import COpenSSL
internal import Glibc

/// What connections over TLS rest on: whom to trust, and what to show. TLS 1.2 or later; names are always checked.
///
/// It is made once and used for many connections; whoever wants other certificates makes another. No session is kept to
/// be resumed: a resumed one is not checked again, and would be taken for another name's.
public final class TLSContext {
    /// Certificates and keys, as PEM.
    public struct Material: Sendable {
        /// The authorities that are trusted; nil: those of the system.
        public var authorities: [UInt8]?
        /// What is shown to a peer that asks: its own certificate first, then those up to the authority.
        public var certificate: [UInt8]?
        /// The key of `certificate`, not encrypted.
        public var key: [UInt8]?

        public init() {}
    }

    /// What is wrong with the material.
    public struct Refusal: Error, Equatable, Sendable {
        public enum Part: Sendable { case authorities, certificate, key, library }
        public let part: Part
        /// It begins with a verb: "has no certificate".
        public let text: String
    }

    let pointer: OpaquePointer

    public init(_ material: Material = Material()) throws(Refusal) {
        ERR_clear_error()
        guard let pointer = SSL_CTX_new(TLS_client_method()) else {
            throw Refusal(part: .library, text: "gives no context: \(Self.lastWords())")
        }
        self.pointer = pointer
        guard tls_set_minimum_version(pointer, TLS1_2_VERSION) == 1 else {
            throw Refusal(part: .library, text: "refuses TLS 1.2: \(Self.lastWords())")
        }
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, TLSFilter.inspect)
        tls_keep_no_sessions(pointer)
        try trust(material.authorities)
        if let certificate = material.certificate { try show(certificate, key: material.key) }
    }

    deinit { SSL_CTX_free(pointer) }

    private func trust(_ authorities: [UInt8]?) throws(Refusal) {
        guard let authorities else {
            guard SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw Refusal(part: .authorities, text: "cannot be taken from the system: \(Self.lastWords())")
            }
            return
        }
        for certificate in try Self.certificates(authorities, .authorities) {
            defer { X509_free(certificate) }
            guard X509_STORE_add_cert(SSL_CTX_get_cert_store(pointer), certificate) == 1 else {
                throw Refusal(part: .authorities, text: "has a certificate that cannot be used: \(Self.lastWords())")
            }
        }
    }

    private func show(_ chain: [UInt8], key: [UInt8]?) throws(Refusal) {
        for (position, certificate) in try Self.certificates(chain, .certificate).enumerated() {
            defer { X509_free(certificate) }
            let isTaken =
                position == 0
                ? SSL_CTX_use_certificate(pointer, certificate) : Int32(tls_add_to_chain(pointer, certificate))
            guard isTaken == 1 else {
                throw Refusal(part: .certificate, text: "cannot be used: \(Self.lastWords())")
            }
        }
        guard let key else { throw Refusal(part: .key, text: "is missing") }
        let parsed = Self.withSource(key) { source in
            // Nobody is there to be asked for a passphrase.
            PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in 0 }, nil)
        }
        guard let parsed else {
            throw Refusal(part: .key, text: "has no private key that can be read without a passphrase")
        }
        defer { EVP_PKEY_free(parsed) }
        guard SSL_CTX_use_PrivateKey(pointer, parsed) == 1, SSL_CTX_check_private_key(pointer) == 1 else {
            throw Refusal(part: .key, text: "is not the key of the certificate")
        }
    }

    /// All certificates of a PEM text, at least one; the caller frees them.
    private static func certificates(_ text: [UInt8], _ part: Refusal.Part) throws(Refusal) -> [OpaquePointer] {
        let certificates = withSource(text) { source in
            var certificates: [OpaquePointer] = []
            while let certificate = PEM_read_bio_X509(source, nil, { _, _, _, _ in 0 }, nil) {
                certificates.append(certificate)
            }
            return certificates
        }
        // The end of the text is an error of its own kind; any other is a damaged certificate.
        let isEnd = reason(ERR_peek_last_error()) == PEM_R_NO_START_LINE
        let words = lastWords()
        if certificates.isEmpty { throw Refusal(part: part, text: "has no certificate in PEM form") }
        guard isEnd else {
            for certificate in certificates { X509_free(certificate) }
            throw Refusal(part: part, text: "has a damaged certificate: \(words)")
        }
        return certificates
    }

    private static func withSource<Value>(_ text: [UInt8], _ body: (OpaquePointer?) -> Value) -> Value {
        ERR_clear_error()
        return text.withUnsafeBytes { bytes in
            let source = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
            defer { BIO_free(source) }
            return body(source)
        }
    }

    /// ERR_GET_REASON of an error that is not the system's.
    static func reason(_ code: UInt) -> Int32 { Int32(truncatingIfNeeded: code & 0x7f_ffff) }

    /// OpenSSL's words for its last error; the queue is empty afterwards.
    static func lastWords() -> String {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        return ERR_reason_error_string(code).map { String(cString: $0) } ?? "no reason given"
    }
}
