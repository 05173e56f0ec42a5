# What calls die with, as objects: TokenCache::Unavailable, TokenCache::NotAccepted, TokenCache::CommandError. As text
# each is its message.
package TokenCache::Error;
use v5.26;
use warnings;
use experimental 'signatures';
use Scalar::Util qw(blessed);
use overload '""' => sub ($self, @) { $self->{message} }, bool => sub { 1 }, fallback => 1;

sub throw ($class, $message, %fields) { die bless { message => $message, %fields }, $class }

sub message ($self) { $self->{message} }

# Whether an error is one of this class.
sub caught ($class, $error) { return blessed $error && $error->isa($class) }

# The status of the HTTP answer.
sub status ($self) { 500 }

# Nobody knows the answer: the cookie stays as it is.
package TokenCache::Unavailable;
use v5.26;
use experimental 'signatures';
our @ISA = 'TokenCache::Error';
sub status ($self) { 503 }

# The visitor's token ended while the request was served, or was only good for this page: nothing was read or written,
# and the browser has a newer one, or is about to. To be tried again; token_status is what the daemon calls it.
package TokenCache::NotAccepted;
use v5.26;
use experimental 'signatures';
our @ISA = 'TokenCache::Error';
sub status ($self)       { 409 }
sub token_status ($self) { $self->{token_status} }

# The daemon refuses the call itself (ERR, NOPERM): a fault of the site, or data that is longer than allowed.
package TokenCache::CommandError;
our @ISA = 'TokenCache::Error';

1;
