internal import COpenSSL
internal import Glibc

/// One connection's TLS, without a socket: what the peer sent goes in, plain bytes come out, and the other way round.
///
/// OpenSSL works on two buffers in memory. Whatever is called here may leave something to be sent: `takeOutput` has it.
final class TLSFilter {
    enum Progress: Equatable {
        case done
        /// Nothing was taken: more of the peer is needed, or its output must go out, before it is tried again.
        case waiting
        case failed(TLSFault)
    }

    enum ReadOutcome: Equatable {
        /// So many bytes, at least one.
        case bytes(Int)
        /// Nothing until more of the peer has come.
        case nothing
        /// The peer has ended in order: nothing follows.
        case end
        case failed(TLSFault)
    }

    private let connection: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let expectedName: String
    /// The names of a certificate that was for others.
    private var peerNames: [String] = []

    /// - Parameter name: whom the peer's certificate must be for, a host name or a numeric address.
    /// - Throws: where OpenSSL has no memory, or the name is none.
    init(_ context: TLSContext, name: String) throws(TLSFault) {
        ERR_clear_error()
        guard let connection = SSL_new(context.pointer) else { throw .failed(TLSContext.lastWords()) }
        guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            SSL_free(connection)
            throw .failed(TLSContext.lastWords())
        }
        tls_await_input(input)
        tls_await_input(output)
        // They belong to the connection from now on.
        SSL_set_bio(connection, input, output)
        self.connection = connection
        self.input = input
        self.output = output
        expectedName = name
        SSL_set_connect_state(connection)
        tls_let_output_move(connection)
        SSL_set_ex_data(connection, Self.ownPlace, Unmanaged.passUnretained(self).toOpaque())
        // An address is asked for as one, and not as a name that looks like it.
        let isChecked: Bool
        if name.isEmpty || name.hasPrefix(".") {
            // OpenSSL would check nothing, or take any host below it.
            isChecked = false
        } else if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name) == 1 {
            isChecked = true
        } else {
            SSL_set_hostflags(connection, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            isChecked = SSL_set1_host(connection, name) == 1 && tls_ask_for_name(connection, name) == 1
        }
        ERR_clear_error()
        guard isChecked else { throw .failed("\(name) is no name that a certificate could be for") }
    }

    deinit { SSL_free(connection) }

    /// What the peer sent.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        var count = 0
        // A buffer in memory takes everything.
        _ = BIO_write_ex(input, bytes.baseAddress, bytes.count, &count)
    }

    /// The peer sends no more.
    func endInput() { tls_end_input(input) }

    /// Goes on with the handshake.
    func shakeHands() -> Progress {
        ERR_clear_error()
        return progress(of: SSL_do_handshake(connection), inHandshake: true)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        ERR_clear_error()
        var count = 0
        let result = SSL_read_ex(connection, buffer.baseAddress, buffer.count, &count)
        if result == 1 { return .bytes(count) }
        switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .nothing
        case SSL_ERROR_ZERO_RETURN: return .end
        default:
            // Redis closes without a word of TLS: replies have lengths, so nothing can be cut off unnoticed.
            let isEnd = TLSContext.reason(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
            return isEnd ? .end : .failed(fault(inHandshake: false))
        }
    }

    /// Encrypts bytes, behind a handshake that is done: all or none. From then on they cannot be withdrawn.
    ///
    /// It waits while the peer is in the middle of a message of TLS itself, a ticket or a change of keys: then the same
    /// bytes are to be given once more when more of the peer has come, and no others before them.
    func write(_ bytes: UnsafeRawBufferPointer) -> Progress {
        guard !bytes.isEmpty else { return .done }
        ERR_clear_error()
        var count = 0
        return progress(of: SSL_write_ex(connection, bytes.baseAddress, bytes.count, &count), inHandshake: false)
    }

    private func progress(of result: Int32, inHandshake: Bool) -> Progress {
        if result == 1 { return .done }
        switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .waiting
        default: return .failed(fault(inHandshake: inHandshake))
        }
    }

    /// Has what is to be sent sent.
    func takeOutput(_ send: (UnsafeRawBufferPointer) -> Void) {
        var start: UnsafeMutablePointer<CChar>?
        let count = tls_output(output, &start)
        guard count > 0, let start else { return }
        send(UnsafeRawBufferPointer(start: start, count: count))
        tls_forget_output(output)
    }

    // MARK: What went wrong

    private func fault(inHandshake: Bool) -> TLSFault {
        let reason = TLSContext.reason(ERR_peek_last_error())
        let words = TLSContext.lastWords()
        switch SSL_get_verify_result(connection) {
        case Int(X509_V_OK): break
        case Int(X509_V_ERR_HOSTNAME_MISMATCH), Int(X509_V_ERR_IP_ADDRESS_MISMATCH):
            return .wrongName(expected: expectedName, names: peerNames)
        case Int(X509_V_ERR_CERT_HAS_EXPIRED): return .expired
        case Int(X509_V_ERR_CERT_NOT_YET_VALID): return .notYetValid
        case let code: return .untrusted(X509_verify_cert_error_string(code).map { String(cString: $0) } ?? words)
        }
        switch reason {
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_HTTP_REQUEST, SSL_R_UNEXPECTED_MESSAGE,
            SSL_R_RECORD_LENGTH_MISMATCH:
            return inHandshake ? .notSpoken : .failed(words)
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return inHandshake ? .unfinished : .failed(words)
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return .certificateRequired
        // An older server says no more than that the handshake failed.
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return SSL_get_certificate(connection) == nil ? .certificateRequired : .failed(words)
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
            SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
            SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, SSL_R_TLSV1_ALERT_UNKNOWN_CA, SSL_R_TLSV1_ALERT_ACCESS_DENIED:
            return .certificateRefused(words)
        default: return .failed(words)
        }
    }

    /// Where a connection keeps the filter that it belongs to.
    private static let ownPlace: Int32 = 0

    /// Called for each certificate of the peer's chain, behind OpenSSL's own checks, whose verdict stands: a certificate
    /// that is refused is gone when the handshake has failed.
    static let inspect: @convention(c) (Int32, OpaquePointer?) -> Int32 = { verdict, chain in
        let place = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard verdict == 0, let connection = X509_STORE_CTX_get_ex_data(chain, place),
            let owner = SSL_get_ex_data(OpaquePointer(connection), ownPlace)
        else { return verdict }
        switch X509_STORE_CTX_get_error(chain) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let filter = Unmanaged<TLSFilter>.fromOpaque(owner).takeUnretainedValue()
            filter.peerNames = names(of: X509_STORE_CTX_get_current_cert(chain))
        default: break
        }
        return verdict
    }

    /// A few of the names that a certificate is for.
    private static func names(of certificate: OpaquePointer?) -> [String] {
        guard let certificate, let list = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
            return []
        }
        let names = OpaquePointer(list)
        defer { GENERAL_NAMES_free(names) }
        return (0..<min(OPENSSL_sk_num(names), 4)).compactMap { position in
            OPENSSL_sk_value(names, position).flatMap { text($0.assumingMemoryBound(to: GENERAL_NAME.self)) }
        }
    }

    private static func text(_ name: UnsafeMutablePointer<GENERAL_NAME>) -> String? {
        var kind: Int32 = 0
        guard let value = GENERAL_NAME_get0_value(name, &kind) else { return nil }
        let string = UnsafePointer(value.assumingMemoryBound(to: ASN1_STRING.self))
        guard kind == GEN_DNS || kind == GEN_IPADD, let start = ASN1_STRING_get0_data(string) else { return nil }
        let bytes = UnsafeBufferPointer(start: start, count: Int(max(0, min(ASN1_STRING_length(string), 253))))
        if kind == GEN_IPADD {
            guard bytes.count == 4 else { return "an IPv6 address" }
            return bytes.map { "\($0)" }.joined(separator: ".")
        }
        return bytes.allSatisfy { (0x21...0x7e).contains($0) } ? String(decoding: bytes, as: UTF8.self) : nil
    }
}
