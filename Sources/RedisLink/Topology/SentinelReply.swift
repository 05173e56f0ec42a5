/// What a Sentinel answers. Source: redis.io/docs/management/sentinel.
enum SentinelReply {
    /// Replicas of one master that are believed.
    static let mostReplicas = 64

    /// `get-master-addr-by-name`: host and port.
    static func address(_ reply: RedisReply) -> SentinelMachine.Address? {
        guard case .array(let parts) = reply, parts.count == 2, case .bulk(let host) = parts[0],
            case .bulk(let port) = parts[1]
        else { return nil }
        return address(host: host, port: port)
    }

    /// `MASTER`: names and values of fields.
    /// - Parameter replicas: what `REPLICAS` was answered; nil where it was not asked.
    static func answer(
        _ reply: RedisReply, master: SentinelMachine.Address, replicas: RedisReply? = nil
    ) -> SentinelMachine.Answer? {
        guard case .array(let fields) = reply, let epoch = number("config-epoch", in: fields),
            let others = number("num-other-sentinels", in: fields), (0...1_000).contains(others)
        else { return nil }
        return SentinelMachine.Answer(
            master: master, epoch: epoch, sentinels: Int(others) + 1, replicas: replicas.flatMap(self.replicas))
    }

    /// `REPLICAS`: all of them; nil where one cannot be told by its address.
    static func replicas(_ reply: RedisReply) -> Set<SentinelMachine.Address>? {
        guard case .array(let replicas) = reply, replicas.count <= mostReplicas else { return nil }
        var addresses: Set<SentinelMachine.Address> = []
        for replica in replicas {
            guard case .array(let fields) = replica,
                let address = address(host: value("ip", in: fields), port: value("port", in: fields))
            else { return nil }
            addresses.insert(address)
        }
        return addresses
    }

    /// `SENTINELS`: the others, each with its id.
    static func others(_ reply: RedisReply) -> [(id: String, SentinelMachine.Address)] {
        guard case .array(let others) = reply else { return [] }
        return others.compactMap { other in
            guard case .array(let fields) = other,
                let address = address(host: value("ip", in: fields), port: value("port", in: fields)),
                let id = value("runid", in: fields), id.count == 40
            else { return nil }
            return (String(decoding: id, as: UTF8.self), address)
        }
    }

    static func address(host: [UInt8]?, port: [UInt8]?) -> SentinelMachine.Address? {
        guard let host, let port, (1...253).contains(host.count), host.allSatisfy({ (0x21...0x7e).contains($0) }),
            let number = port.decimalNumber, let port = UInt16(exactly: number), port > 0
        else { return nil }
        return SentinelMachine.Address(host: String(decoding: host, as: UTF8.self), port: port)
    }

    private static func number(_ name: String, in fields: RedisArray) -> Int64? {
        value(name, in: fields)?.decimalNumber
    }

    private static func value(_ name: String, in fields: RedisArray) -> [UInt8]? {
        var index = 0
        while index + 1 < fields.count {
            if case .bulk(let key) = fields[index], key.elementsEqual(name.utf8),
                case .bulk(let value) = fields[index + 1]
            {
                return value
            }
            index += 2
        }
        return nil
    }
}
