# The options of the programs that serve the site: (socket, port, reveals_captchas).
package Options;
use v5.26;
use warnings;
use File::Spec;
use Getopt::Long qw(GetOptions);

sub given {
    my %given = (reveals_captchas => 0);
    GetOptions('socket=s' => \$given{socket}, 'port=i' => \$given{port}, 'reveal-captchas' => \$given{reveals_captchas}) && !@ARGV
        or usage('only these options are taken');
    usage('--socket takes the path of the daemon\'s socket') unless length($given{socket} // '');
    usage('--port takes a number from 1 to 65535') unless ($given{port} // 0) >= 1 && $given{port} <= 65_535;
    $given{socket} = File::Spec->rel2abs($given{socket});
    return %given;
}

sub usage {
    print STDERR "$_[0]\nusage: $0 --socket PATH --port N [--reveal-captchas]\n";
    exit 2;
}

1;
