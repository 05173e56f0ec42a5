import Foundation
import TestSupport
import Testing

@testable import EventLoop

/// What certificates and keys a context takes, and what it says of others.
@Suite("Certificates for TLS")
struct TLSContextTests {
    private let folder: TemporaryFolder
    private let authority: CertificateAuthority

    init() throws {
        folder = try TemporaryFolder()
        authority = try CertificateAuthority(in: folder.path)
    }

    private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    private func refusal(_ change: (inout TLSContext.Material) throws -> Void) throws -> TLSContext.Refusal? {
        var material = TLSContext.Material()
        try change(&material)
        do throws(TLSContext.Refusal) {
            _ = try TLSContext(material)
            return nil
        } catch { return error }
    }

    @Test("a certificate with its key, a chain, and several authorities are taken")
    func good() throws {
        let identity = try authority.issue("daemon", for: [])
        let other = try CertificateAuthority(in: folder.path, name: "other")
        #expect(
            try refusal {
                $0.authorities = try bytes(authority.certificate) + bytes(other.certificate)
                $0.certificate = try bytes(identity.certificate) + bytes(authority.certificate)
                $0.key = try bytes(identity.key)
            } == nil)
        #expect(try refusal { _ in } == nil)
    }

    @Test("what has no certificate, half of one, or a damaged one is refused")
    func certificates() throws {
        let good = try bytes(authority.certificate)
        let half = Array(good.prefix(good.count / 2))
        var damaged = good
        damaged[good.count / 2] = UInt8(ascii: "!")
        for text in [[], Array("hello".utf8), [0, 255, 0]] {
            #expect(
                try refusal { $0.authorities = text }
                    == TLSContext.Refusal(part: .authorities, text: "has no certificate in PEM form"))
            #expect(
                try refusal { $0.certificate = text }
                    == TLSContext.Refusal(part: .certificate, text: "has no certificate in PEM form"))
        }
        for text in [half, damaged] {
            #expect(try refusal { $0.authorities = text }?.part == .authorities)
            // Behind a good one, it is not passed over.
            let refused = try refusal { $0.authorities = good + text }
            #expect(refused?.text.hasPrefix("has a damaged certificate: ") == true, "\(String(describing: refused))")
        }
    }

    @Test("a key that is missing, another's, encrypted, or none is refused, and nobody is asked for a passphrase")
    func keys() throws {
        let identity = try authority.issue("daemon", for: [])
        let other = try authority.issue("other", for: [])
        let certificate = try bytes(identity.certificate)
        let encrypted = "\(folder.path)/encrypted.key"
        let tool = try Tool.run(
            "openssl", ["pkey", "-in", identity.key, "-aes256", "-passout", "pass:secret", "-out", encrypted])
        #expect(tool.status == 0, "\(tool.errors)")
        let unreadable = "has no private key that can be read without a passphrase"
        for (key, text) in [
            (nil, "is missing"), (try bytes(other.key), "is not the key of the certificate"),
            (try bytes(encrypted), unreadable), (certificate, unreadable), ([], unreadable),
        ] as [([UInt8]?, String)] {
            #expect(
                try refusal {
                    $0.certificate = certificate
                    $0.key = key
                } == TLSContext.Refusal(part: .key, text: text))
        }
    }
}
