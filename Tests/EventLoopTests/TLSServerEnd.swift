import COpenSSL
import TestSupport

@testable import EventLoop

/// The server's end of one connection over TLS 1.3, in memory, in records of at most 512 bytes.
final class TLSServerEnd {
    private let context: OpaquePointer
    private let connection: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    init(_ identity: CertificateAuthority.Identity) throws {
        guard let context = SSL_CTX_new(TLS_server_method()), let input = BIO_new(BIO_s_mem()),
            let output = BIO_new(BIO_s_mem()), let connection = SSL_new(context)
        else { throw HarnessFailure("OpenSSL has no memory") }
        (self.context, self.connection, self.input, self.output) = (context, connection, input, output)
        SSL_set_bio(connection, input, output)
        SSL_set_accept_state(connection)
        SSL_ctrl(connection, SSL_CTRL_SET_MAX_SEND_FRAGMENT, 512, nil)
        guard SSL_use_certificate_file(connection, identity.certificate, SSL_FILETYPE_PEM) == 1,
            SSL_use_PrivateKey_file(connection, identity.key, SSL_FILETYPE_PEM) == 1
        else { throw HarnessFailure("OpenSSL takes no certificate") }
    }

    /// The name that the client asked for (SNI); nil where it named none.
    var askedName: String? { SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) } }

    deinit {
        SSL_free(connection)
        SSL_CTX_free(context)
    }

    /// Takes what the client sent; whoever is in the middle of a handshake goes on with it.
    /// - Returns: what it said.
    func receive(_ bytes: [UInt8]) -> [UInt8] {
        var count = 0
        BIO_write_ex(input, bytes, bytes.count, &count)
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while SSL_read_ex(connection, &buffer, buffer.count, &count) == 1 { said += buffer[..<count] }
        return said
    }

    func write(_ text: String) {
        var count = 0
        SSL_write_ex(connection, text, text.utf8.count, &count)
    }

    /// A message of TLS's own that takes several records.
    func sendLargeTicket() throws {
        let ballast = [UInt8](repeating: 7, count: 2_000)
        guard SSL_SESSION_set1_ticket_appdata(SSL_get_session(connection), ballast, ballast.count) == 1,
            SSL_new_session_ticket(connection) == 1, SSL_do_handshake(connection) == 1
        else { throw HarnessFailure("OpenSSL sends no ticket") }
    }

    /// New keys both ways.
    func updateKeys() throws {
        guard SSL_key_update(connection, SSL_KEY_UPDATE_REQUESTED) == 1, SSL_do_handshake(connection) == 1 else {
            throw HarnessFailure("OpenSSL changes no keys")
        }
    }

    /// What is to be sent, a record each.
    func records() -> [[UInt8]] {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        var count = 0
        guard BIO_read_ex(output, &bytes, bytes.count, &count) == 1 else { return [] }
        var rest = bytes[..<count]
        var records: [[UInt8]] = []
        while rest.count >= 5 {
            let length = 5 + Int(rest[rest.startIndex + 3]) << 8 + Int(rest[rest.startIndex + 4])
            records.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return records
    }
}
