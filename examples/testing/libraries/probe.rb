# redis-rb, for clients.py, which says what a line is: probe.rb SOCKET
require 'redis'

def shown(reply)
  case reply
  when Exception then "!#{reply.message}"
  when Array then ['(', *reply.map { |part| shown(part) }, ')'].join("\t")
  when Integer then ":#{reply}"
  when nil then '_'
  else "$#{reply}"
  end
end

$stdout.sync = true
puts Redis::VERSION
client = nil
while (line = $stdin.gets)
  word, *words = line.chomp.split("\t", -1)
  commands = Array.new(word == 'call' ? 0 : words[0].to_i) { $stdin.gets.chomp.split("\t", -1) }
  begin
    client ||= Redis.new(path: ARGV[0], timeout: 2, reconnect_attempts: 0)
    replies =
      if commands.empty? then [client.call(*words)]
      else client.pipelined { |pipe| commands.each { |command| pipe.call(*command) } }
      end
  rescue Redis::BaseError => e
    replies = [e]
    client&.close
    client = nil
  end
  replies.each { |reply| puts shown(reply).tr("\n", ' ') }
end
