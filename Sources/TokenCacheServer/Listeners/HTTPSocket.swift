internal import EventLoop
internal import Glibc

/// A listening socket that HTTP is spoken at: one of `http.listen`, or one that systemd passes.
struct HTTPSocket {
    let descriptor: Int32
    let serve: [HTTPPurpose]
    let isTCP: Bool
    /// For the log.
    let place: String
    /// Where this process made the socket.
    private let own: UnixListener?

    /// Removes the path that was made here.
    func removePath() { own?.removePath() }

    /// Those of `http.listen`, and those that systemd passes under the name `http`. One that is passed takes the place of the
    /// element of `http.listen` at the same address.
    static func open(_ settings: Settings, _ service: ServiceContext) throws(StartError) -> [HTTPSocket] {
        var addresses = settings.http.listen
        var sockets: [HTTPSocket] = []
        for passed in service.httpSockets {
            sockets.append(try adopt(passed.descriptor, &addresses))
        }
        do throws(StartError) {
            for address in addresses { sockets.append(try bind(address, settings)) }
        } catch {
            for socket in sockets { socket.removePath() }
            throw error
        }
        return sockets
    }

    private static func bind(_ address: HTTPListenAddress, _ settings: Settings) throws(StartError) -> HTTPSocket {
        switch address.place {
        case .unix(let path, let mode, let group):
            SocketFolder.makeIfMissing(for: path)
            do throws(UnixListenerError) {
                let listener = try UnixListener.bind(path: path, mode: mode, group: settings.resolved.httpGroups[group])
                return HTTPSocket(
                    descriptor: listener.descriptor, serve: address.serve, isTCP: false, place: "unix:\(path)",
                    own: listener)
            } catch { throw StartError("http.listen: \(error)", exitStatus: 69) }
        case .tcp(let host, let port):
            do throws(TCPListenerError) {
                let listener = try TCPListener.bind(host: host, port: port)
                return HTTPSocket(
                    descriptor: listener.descriptor, serve: address.serve, isTCP: true, place: "\(host):\(port)",
                    own: nil)
            } catch { throw StartError("http.listen: \(error)", exitStatus: 69) }
        }
    }

    private static func adopt(
        _ descriptor: Int32, _ addresses: inout [HTTPListenAddress]
    ) throws(StartError) -> HTTPSocket {
        do {
            if let bound = NumericAddress(boundBy: descriptor) {
                let listener = try TCPListener.adopt(descriptor)
                let index = addresses.firstIndex { address in
                    guard case .tcp(let host, let port) = address.place else { return false }
                    return NumericAddress(host: host, port: port)?.isSame(as: bound) == true
                }
                let meant = index.map { addresses.remove(at: $0) }
                guard bound.isLoopback || meant?.isRemote == true else {
                    throw StartError(
                        "the socket that systemd passes (http) can be reached from other hosts: name its address in "
                            + "http.listen with remote: true if that is meant", exitStatus: 78)
                }
                return HTTPSocket(
                    descriptor: listener.descriptor,
                    serve: meant?.serve ?? HTTPListenAddress.standardPurposes(isTCP: true), isTCP: true,
                    place: "port \(bound.port)", own: nil)
            }
            let listener = try UnixListener.adopt(descriptor)
            let index = addresses.firstIndex { $0.place.path == listener.path }
            let meant = index.map { addresses.remove(at: $0) }
            return HTTPSocket(
                descriptor: listener.descriptor,
                serve: meant?.serve ?? HTTPListenAddress.standardPurposes(isTCP: false), isTCP: false,
                place: "unix:\(listener.path)", own: listener)
        } catch let error as InheritedSocketError {
            throw StartError("the socket that systemd passes (http): \(error)", exitStatus: 69)
        } catch let error as StartError { throw error } catch { throw StartError("\(error)", exitStatus: 69) }
    }
}
