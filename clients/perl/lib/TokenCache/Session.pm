package TokenCache::Session;
use v5.26;
use warnings;
use experimental 'signatures';
use Encode ();
use TokenCache::Error;

use constant {
    # Longer than any form's token, captcha or answer. What a visitor sends beyond it is not asked about.
    MOST_FIELD => 4096,
    MOST_USER  => 256,
};

# Asks VISIT. Of the request: client, cookie, token, form_name, bind (a reference to words), fetch_site, is_foreign,
# fetch_mode, is_post, csrf, fields (a reference to the names of fields).
sub visit ($class, %request) {
    my $self = bless { %request, presented => $request{token}, has_begun => 0 }, $class;
    my ($form, $mode) = @$self{qw(form_name fetch_mode)};
    my $site = $self->_fetch_site($self->{token} eq '');
    my $reply = $self->_ask_about(
        'TOKEN.VISIT',
        defined $self->{csrf} ? (CHECK => _bounded($self->{csrf}), $form) : (),
        length $site ? ('FETCH-SITE' => $site) : (),
        length($mode // '') ? ('FETCH-MODE' => $mode) : (),
        $self->{is_post} ? 'POST' : (),
        CSRF => $form,
        _fields_of(@{$self->{fields} // []}));
    $self->{status} = $reply->{status};
    $self->{superseded} = !$reply->{accepted} && !defined $reply->{sessiontoken};
    $self->{form} = $reply->{check};
    $self->{data} = $reply->{data} // {};
    $self->_hold($reply);
    # Logged in means accepted, and a subject.
    $self->{user} = undef unless $reply->{accepted};
    return $self;
}

sub user ($self)       { return $self->{user} }
sub sid ($self)        { return $self->{sid} }
sub kind ($self)       { return $self->{kind} }
sub auth_time ($self)  { return $self->{auth_time} }
sub status ($self)     { return $self->{status} }
sub superseded ($self) { return $self->{superseded} }
sub form ($self)       { return $self->{form} }
sub data ($self)       { return $self->{data} }
sub passed ($self)     { return ($self->{form} // '') eq 'passed' }
sub is_own ($self)     { return $self->_fetch_site(1) =~ /\A(?:same-origin|none|)\z/ }

sub check ($self, $csrf) {
    my $site = $self->{fetch_site} // '';
    my $reply = $self->_ask(
        'CSRF.VERIFY', $self->{token}, _bounded($csrf), $self->{bind}->@*, FORM => $self->{form_name},
        length $site ? ('FETCH-SITE' => $site) : ());
    $self->{form} = $reply->{status};
    return $self->passed;
}

sub csrf ($self) {
    die "after a logout there is no form: redirect, and the next request meets a new visitor\n"
        unless defined $self->{next_csrf};
    $self->{is_personal} = 1;
    return $self->{next_csrf};
}

sub csrf_field ($self) { return sprintf '<input type="hidden" name="csrf" value="%s">', $self->csrf }

sub login ($self, $user, %options) {
    my $form = delete $options{form} // 1;
    my @options = _options(\%options, idle => 'IDLE', absolute => 'ABSOLUTE', auth_time => 'AUTH-TIME', max => 'MAX');
    my $persistent = delete $options{persistent};
    my $data = delete $options{data} // {};
    _all_known('login', %options);
    die "login takes the user's name or number as a text of 1 to ${\MOST_USER} bytes\n"
        unless defined $user && length $user && length Encode::encode_utf8($user) <= MOST_USER;
    die "login without a genuine form (${\($self->{form} // 'none came')}): look at passed first\n" if $form && !$self->passed;
    $self->_expect_to_give;
    my $reply = $self->_ask(
        'TOKEN.LOGIN', $self->{token}, $user, $self->{bind}->@*, @options,
        defined $persistent ? (COOKIE => $persistent ? 'persistent' : 'session') : (),
        CSRF => $self->{form_name}, _data_of($data));
    return 0 unless $reply->{accepted};
    $self->_renew($reply);
    return 1;
}

sub rotate ($self, %options) {
    my @limits = _limits(\%options);
    _all_known('rotate', %options);
    $self->_expect_to_give;
    $self->_renew(_living($self->_ask_about('TOKEN.ROTATE', @limits, CSRF => $self->{form_name})));
    return;
}

sub expire ($self, %options) {
    my @limits = _limits(\%options);
    _all_known('expire', %options);
    $self->_expect_to_give;
    _living($self->_ask_about('TOKEN.EXPIRE', @limits));
    return;
}

sub is_fresh ($self, $within) {
    $self->_expect_to_give;
    # The token that the browser holds: its successor would be confirmed by this before the browser has it.
    my $reply = $self->_note($self->{client}->ask_about(
        'TOKEN.VALIDATE', $self->{presented}, $self->{bind}->@*, REQUIRE => 'login-within', $within));
    return $reply->{accepted} ? 1 : 0;
}

sub logout ($self) {
    $self->_expect_to_give;
    return 0 unless $self->_ask('TOKEN.REVOKE', $self->{token})->{status} eq 'revoked';
    $self->_end;
    return 1;
}

sub logout_everywhere ($self) {
    return 0 unless defined $self->{user};
    $self->_expect_to_give;
    my $reply = $self->_ask('TOKEN.REVOKEALL', $self->{user});
    $self->_end;
    return $reply->{count};
}

sub logout_elsewhere ($self) {
    return 0 unless defined $self->{user};
    my $reply = $self->_ask('TOKEN.REVOKEALL', $self->{user}, EXCEPT => $self->{token}, $self->{bind}->@*);
    # Of a token that ended the status is `revoked`, too.
    return $reply->{count} // _refuse($reply);
}

sub devices ($self, @fields) {
    return unless defined $self->{user};
    my $list = $self->_ask('TOKEN.LIST', $self->{user}, _fields_of(@fields));
    return map { +{ %$_, current => $_->{sid} eq $self->{sid} ? 1 : 0, data => $_->{data} // {} } } @$list;
}

sub end_device ($self, $sid) {
    return 0 unless defined $self->{user} && ($sid // '') =~ /\A[0-9a-f]{32}\z/i;
    return $self->logout if lc $sid eq $self->{sid};
    return $self->_ask('TOKEN.REVOKE', SID => lc $sid, SUBJECT => $self->{user})->{status} eq 'revoked' ? 1 : 0;
}

sub get ($self, @fields) {
    return _living($self->_ask_about('TOKEN.GET', _fields_of(@fields)))->{data};
}

sub set ($self, $data, %options) {
    my @limits = _limits(\%options);
    my $if = delete $options{if} // {};
    _all_known('set', %options);
    $self->_expect_to_give;
    my @conditions = map { (IF => $_, $if->{$_} // '') } sort keys %$if;
    my $reply = _living($self->_ask_about('TOKEN.SET', @limits, @conditions, _data_of($data)));
    return { changed => $reply->{changed}, conflict => $reply->{status} eq 'conflict' ? $reply->{data} : undef };
}

sub increment ($self, $field, $by = 1) {
    $self->_expect_to_give;
    return _living($self->_ask_about('TOKEN.INCR', DATA => $field, $by))->{value};
}

sub take ($self, @fields) {
    return _living($self->_ask_about('TOKEN.GETDEL', DATA => @fields))->{data};
}

sub captcha ($self, %options) {
    my @options = _options(\%options, length => 'LENGTH', solution => 'SOLUTION', lifetime => 'LIFETIME');
    _all_known('captcha', %options);
    my $reply = _living($self->_ask(
        'CAPTCHA.ISSUE', @options, FORM => $self->{form_name}, FOR => $self->{token}, $self->{bind}->@*), 'issued');
    $self->{is_personal} = 1;
    return $reply->{captcha};
}

sub captcha_solution ($self, $captcha) { return $self->_ask('CAPTCHA.OPEN', _bounded($captcha))->{solution} }

sub solved ($self, $captcha, $answer) {
    # The first attempt spends it: somebody else's request would.
    return 0 unless $self->passed;
    my $reply = $self->_ask(
        'CAPTCHA.VERIFY', _bounded($captcha), _bounded($answer), FORM => $self->{form_name}, FOR => $self->{token},
        $self->{bind}->@*);
    return $reply->{status} eq 'passed' ? 1 : 0;
}

# For middlewares

# Set-Cookie of the response, or undef where the cookie stays as it is.
sub set_cookie ($self) { return $self->{set_cookie} }

# Whether the response is this visitor's alone: it has their cookie, or a form of theirs.
sub is_personal ($self) { return defined $self->{set_cookie} || $self->{is_personal} || $self->{superseded} }

# The head of the response is sent: no cookie can go along any more.
sub begin ($self) { $self->{has_begun} = 1; return }

# What the browser says of who made the request; an old one says it by Origin. That is believed where it cannot harm
# honest forms behind a proxy that changes Host: of a request without a cookie, which the browser may have held back.
sub _fetch_site ($self, $believes_origin) {
    return $self->{fetch_site} || ($believes_origin && $self->{is_foreign} ? 'cross-site' : '');
}

sub _ask_about ($self, $command, @options) {
    return $self->_note($self->{client}->ask_about($command, $self->{token}, $self->{bind}->@*, @options));
}

sub _ask ($self, @words) { return $self->_note($self->{client}->ask(@words)) }

# The cookie rule: whenever sessiontoken is in a reply the visitor gets it, and whenever it is not the cookie stays as
# it is. The token rule: for the rest of the request the newest one is used.
sub _note ($self, $reply) {
    if (ref $reply eq 'HASH' && defined $reply->{sessiontoken}) {
        $self->{token} = $reply->{sessiontoken};
        $self->{set_cookie} = $self->{cookie}->of($reply);
    }
    return $reply;
}

# Takes over who the visitor is.
sub _hold ($self, $reply) {
    @$self{qw(sid kind auth_time next_csrf)} = @$reply{qw(sid kind auth_time csrf)};
    $self->{user} = length $reply->{subject} ? $reply->{subject} : undef;
    return;
}

# After a LOGIN or ROTATE. What was changed is told first of all: the next form's token may be missing from it.
sub _renew ($self, $reply) {
    $self->{presented} = $self->{token};
    $self->_hold($reply);
    $self->{next_csrf} //= _living($self->_ask(
        'CSRF.ISSUE', $self->{token}, $self->{bind}->@*, FORM => $self->{form_name}))->{csrf};
    return;
}

sub _end ($self) {
    $self->{set_cookie} = $self->{cookie}->removal;
    @$self{qw(user next_csrf token)} = (undef, undef, '');
    return;
}

# Before a command that may give a token: a response that has begun could not take it along.
sub _expect_to_give ($self) {
    die "the response has begun and its cookie could not be set: call this before the first byte\n" if $self->{has_begun};
    return;
}

# A reply that must be about somebody who is there. Nobody goes on with a token that ended meanwhile, or that was never
# more than good for a page.
sub _living ($reply, $good = undef) {
    return $reply if defined $good ? $reply->{status} eq $good : $reply->{accepted};
    _refuse($reply);
}

sub _refuse ($reply) {
    TokenCache::NotAccepted->throw(
        "the visitor's token is not good any more ($reply->{status}): to be tried again with the newer one",
        token_status => $reply->{status});
}

sub _bounded ($text) { return defined $text && !ref $text && length Encode::encode_utf8($text) <= MOST_FIELD ? $text : '' }

sub _limits ($options) { return _options($options, idle => 'IDLE', absolute => 'ABSOLUTE') }

# Takes options out, as the words of a command.
sub _options ($options, @names) {
    my @words;
    while (my ($name, $word) = splice @names, 0, 2) {
        my $value = delete $options->{$name};
        push @words, $word, $value if defined $value;
    }
    return @words;
}

sub _all_known ($method, %left) {
    die "$method has no option ${\join ', ', sort keys %left}\n" if %left;
    return;
}

# The fields that are asked for; none: nothing is said of data.
sub _fields_of (@fields) { return @fields ? (DATA => @fields) : () }

sub _data_of ($data) {
    return %$data ? (DATA => map { ($_, $data->{$_} // '') } sort keys %$data) : ();
}

1;

__END__

=encoding utf8

=head1 NAME

TokenCache::Session - whoever sent a request

=head1 SYNOPSIS

    my $session = $env->{'tokencache.session'};        # or what TokenCache::CGI hands to its site
    my $name = $session->user // 'guest';
    if ($session->passed) { $session->login($user) }   # after the password was checked

=head1 DESCRIPTION

The middlewares ask once for each request who sent it, and make one of these. Every command takes the newest token that
is known; the response gets the cookie of the last reply that had one. Methods die with C<TokenCache::Unavailable> where
nobody knows, and with C<TokenCache::NotAccepted> where the token ended meanwhile; a middleware answers both
(L<TokenCache/ERRORS>). Texts are characters: decode parameters first.

=head1 WHO IT IS

=over

=item user

Who is logged in, or undef. A guest is nobody.

=item sid, kind, auth_time, status

The public name of the session, fit for logs; C<session> or C<guest>, of whom nothing is stored; when the user last
proved who they are, Unix time in seconds, 0 if nobody did; what the token that came is worth (C<valid>, C<rotated>,
C<none>, C<revoked>, ...).

=item superseded

Whether the browser holds a newer token than the one it sent, or is about to. Pages are sent to themselves once by the
middleware; an API says "try again". Whatever is shown, its forms work with the token that came.

=item is_own

Whether the browser says that a page of this site made the request, or says nothing. For an API that is called without a
form.

=back

=head1 FORMS

=over

=item csrf_field, csrf

The hidden field that every form has, and its value, which a script sends as C<X-CSRF-Token>. After a logout there is
none: redirect.

=item passed, form

Whether a form came with this request and is genuine. If not, carry nothing out and show the form again, as it was
filled. C<form> says why: C<failed>, C<expired>, C<outdated> (from before a login in another tab), or undef if none
came.

=item check($csrf)

Checks the field C<csrf> of a form that the middleware could not see. Returns C<passed>.

=item captcha(length => $n, solution => $text, lifetime => $duration)

A captcha of this visitor's, for a hidden field and for the address of the picture. Its solution is sealed in it.

=item captcha_solution($captcha)

Its solution, for the request that draws the picture, and for nothing else; undef if it is none, or too old.

=item solved($captcha, $answer)

Whether the answer is right. The first attempt spends the captcha; where the form did not pass nothing is asked.

=back

=head1 LOGIN

Durations are a number with C<ms>, C<s>, C<m>, C<h> or C<d>, as C<30d>; a bare number means seconds.

=over

=item login($user, %options)

Logs a user of 1 to 256 bytes in whose password was checked. Returns false where the user has as many sessions as
allowed and C<session.on-limit> is C<refuse>. Dies where no genuine form came, unless C<< form => 0 >> says that another
proof was checked, as a central login's C<state>. Options: C<idle> and C<absolute>, limits ("remember me"; the cookie
then outlives the browser); C<persistent>, whether it does, whatever the limits; C<auth_time>, when the password was
proven, if that was not now; C<max>, the most sessions that the user may have; C<data>, fields to store.

=item logout

Ends this session; returns whether there was one. The cookie is deleted if so.

=item logout_everywhere, logout_elsewhere

End all sessions of the user, with or without this one; return how many there were.

=item devices(@fields)

The sessions of the user, the newest first, at most 100, as hashes of C<sid>, C<current>, C<created>, C<modified>,
C<auth_time>, C<expires_in>, C<absolute_in>, C<generation>, C<data>.

=item end_device($sid)

Ends a session by the C<sid> that a form brings: one of this user's only. Returns whether there was one.

=item is_fresh($within)

Whether the user proved who they are within a duration; if not, ask for the password and call C<login>.

=item rotate(%limits), expire(%limits)

A new token at once, after any other change of privilege; new limits for this session. Limits are C<idle> and
C<absolute>.

=back

=head1 DATA

=over

=item data

A hash reference of the fields that the middleware brings along, as this request found them (its option C<data>).

=item get(@fields)

A hash reference of this visitor's fields, of all of them if none is named.

=item set(\%data, %options)

Stores fields; an empty text removes one. A guest becomes a session by it. Returns C<changed>, how many values changed,
and C<conflict>: with C<< if => \%fields >> it writes only where these fields are as said (empty: not there), else
C<conflict> has them. C<idle> and C<absolute> are limits of the session that it makes of a guest.

=item increment($field, $by)

Adds 1, or C<$by>, atomically over all hosts; returns the sum. C<Unavailable> means once or not at all.

=item take(@fields)

As C<get>, and the fields are gone: of any number of takers at most one gets them.

=back

Call what may set the cookie before the head of the response is sent: later it dies, and changes nothing.

=cut
