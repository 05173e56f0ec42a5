#| A daemon of a test, on a Redis of its own, in a temporary folder. PROGRAMS names the folder of tokencached; without it the
#| one in PATH is taken.
unit class Daemon;

use NativeCall;

constant START-SECONDS = 30;

sub kill-process(int32, int32 --> int32) is native is symbol('kill') {*}

#| Another for each daemon of a test.
has IO::Path $.folder;
has Proc::Async $!process;
has $!end;
has Int $!pid;
has @.settings;

#| The daemon's program; undefined where there is none to be found and none was named.
method program(--> Str) {
    return "$_/tokencached" with %*ENV<PROGRAMS>;
    my @folders = (%*ENV<PATH> // '').split(':');
    @folders.map({ "$_/tokencached" }).first({ .IO.x }) // Str
}

submethod TWEAK() {
    $!folder //= $*TMPDIR.add("tokencached-raku-$*PID");
    $!folder.mkdir(0o700);
    self.start;
}

method path(--> Str) { ~$!folder.add('t.sock') }

method start() {
    $!process = Proc::Async.new: self.program, '--socket', self.path, '--state-dir', ~$!folder.add('state'),
        |@!settings.map({ '--set', $_ }).flat;
    my $log = $!folder.add('log').open(:a, :out-buffer(0));
    $!process.stdout.tap({ $log.print: $_ });
    $!process.stderr.tap({ $log.print: $_ });
    $!end = $!process.start;
    $!pid = await $!process.pid;
    my $deadline = now + START-SECONDS;
    until self.path.IO.e && self.answers {
        die "the daemon does not start:\n" ~ $!folder.add('log').slurp if now > $deadline || $!end.status !~~ Planned;
        sleep 0.05;
    }
}

method answers(--> Bool) {
    require TokenCache;
    so try ::('TokenCache').new(path => self.path).ask-value('PING') eq 'PONG'
}

method stop() {
    $!process.kill(SIGTERM);
    await $!end;
}

method freeze() { kill-process($!pid, SIGSTOP.value) }
method thaw()   { kill-process($!pid, SIGCONT.value) }

method remove() {
    self.thaw;
    self.stop;
    # Redis's files, and the log.
    run 'rm', '-rf', ~$!folder;
}
