import TokenCacheClient
@main struct T { static func main() { print("x") } }
