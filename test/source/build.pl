# The build: out of tree, and of what has changed, nothing less and nothing more.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

# A copy of the sources that nobody has built in.
my $dir = tempdir(CLEANUP => 1);
make_path("$dir/source/src", "$dir/source/sql", "$dir/build", "$dir/empty/src");
system("cp -R Makefile kbilling.control test $dir/source && cp src/*.c src/*.cpp src/*.h $dir/source/src && "
	. "cp -R sql/install $dir/source/sql && cp -R Makefile kbilling.control $dir/source/sql $dir/empty") == 0 or die 'cannot copy';
my @sources = glob 'src/*.c src/*.cpp';

# Exit status and output of make there; what it would do, with -n.
sub make_in
{
	my ($where, @arguments) = @_;
	delete local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES COPT)};
	my $output = `make -C $dir/$where with_llvm=no @arguments 2>&1`;
	return ($? >> 8, $output);
}

for my $way ("-f $dir/source/Makefile", "-f $dir/source/Makefile VPATH=$dir/source", "-f ../source/Makefile VPATH=../source")
{
	my ($status, $output) = make_in('build', '-n', $way);
	my %compiled = map { $_ => 1 } $output =~ /-c -o (src\/\w+\.o)/g;
	is($status, 0, "make $way works in another folder");
	is(scalar keys %compiled, scalar @sources, 'it compiles every source');
	like($output, qr{> sql/kbilling--\d+\.\d+\.\d+\.sql}, 'and joins the script');
}

my ($status, $output) = make_in('empty', '-n');
isnt($status, 0, 'without sources there is no library');
like($output, qr/there are no sources in/, 'and the error says so');

($status, $output) = make_in('source', 'src/reminder.o src/card.o');
is($status, 0, 'two objects are built') or diag($output);
($status) = make_in('source', '-q', 'src/reminder.o src/card.o');
is($status, 0, 'and are up to date');
($status, $output) = make_in('build', '-n', "-f $dir/source/Makefile");
like($output, qr/has been built in: run "make clean" there first/, 'a build out of tree does not take them for its own');

# A header that one of them includes, and another file that it does not know.
my $later = time + 10;
utime $later, $later, "$dir/source/src/card.h";
($status) = make_in('source', '-q', 'src/reminder.o');
is($status, 0, 'a header concerns nobody who does not include it');
($status) = make_in('source', '-q', 'src/card.o');
is($status, 1, 'but who includes it is stale');
unlink "$dir/source/src/cardlist.h";
($status) = make_in('source', '-q', 'src/reminder.o');
is($status, 0, 'a header that is gone stops nobody else');
($status) = make_in('source', '-q', 'src/reminder.o', 'CFLAGS=-O0');
is($status, 1, 'other flags make every object stale');

done_testing();
