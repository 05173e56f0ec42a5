internal import EventLoop
internal import Glibc
internal import WireProtocol

/// HTTP on a listening socket: what its sessions share, one turn after the other.
///
/// Belongs to the loop's thread.
final class HTTPListener: ListenerProtocol {
    /// What is asked for here, and who answers.
    let site: HTTPSite
    let purposes: Set<HTTPPurpose>
    /// Requests come over TCP: from whoever reaches the port, perhaps through a browser that was made to.
    let isTCP: Bool
    /// Responses of the session whose turn it is.
    var writer = HTTPResponseWriter(capacity: 65_536)
    /// Reads heads in the loop's buffer; between requests whenever a session begins its turn.
    var reader = HTTPRequestReader()

    private unowned let server: Server
    private var second: time_t = -1
    private var dateText: [UInt8] = []

    init(site: HTTPSite, _ socket: HTTPSocket, server: Server) {
        self.site = site
        purposes = Set(socket.serve)
        isTCP = socket.isTCP
        self.server = server
    }

    var kind: ClientKind { isTCP ? .httpOverTCP : .http }

    func limitsChanged() {}

    func open(_ client: AcceptedClient) -> any ClientSession {
        if isTCP { TCPListener.prepare(connection: client.descriptor) }
        return HTTPSession(client, self, server)
    }

    func text(of refusal: ClientRefusal) -> String {
        var writer = HTTPResponseWriter(capacity: 256)
        writer.begin(refusal == .denied ? .forbidden : .unavailable, HTTPExchange(), date: date)
        if refusal != .denied { writer.field("Retry-After", 1) }
        writer.end()
        return writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// Now, as an HTTP date: made once a second.
    var date: [UInt8] {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        guard now.tv_sec != second else { return dateText }
        second = now.tv_sec
        dateText = Self.dateText(of: now.tv_sec)
        return dateText
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`. Source: RFC 9110, 5.6.7.
    static func dateText(of seconds: time_t) -> [UInt8] {
        var seconds = seconds
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil else { return Array("Thu, 01 Jan 1970 00:00:00 GMT".utf8) }
        let two = { (number: Int32) in number < 10 ? "0\(number)" : "\(number)" }
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let day = days.indices.contains(Int(parts.tm_wday)) ? days[Int(parts.tm_wday)] : "Sun"
        let month = months.indices.contains(Int(parts.tm_mon)) ? months[Int(parts.tm_mon)] : "Jan"
        let time = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return Array("\(day), \(two(parts.tm_mday)) \(month) \(Int(parts.tm_year) + 1900) \(time) GMT".utf8)
    }
}
