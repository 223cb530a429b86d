# The build: out of tree, and of what has changed, nothing less and nothing more.
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

# Copies of the sources that nobody has built in: one with all files in C, one with two, one with none.
my $dir = tempdir(CLEANUP => 1);
make_path("$dir/build", map { ("$dir/$_/src", "$dir/$_/sql") } qw(source few empty));
for (qw(source few empty))
{
	system("cp Makefile kbilling.control $dir/$_ && cp -R sql/install $dir/$_/sql") == 0 or die 'cannot copy';
}
system("cp src/*.c src/*.cpp src/*.h $dir/source/src && cp src/reminder.c src/card.c src/*.h $dir/few/src") == 0 or die 'cannot copy';
my @sources = glob 'src/*.c src/*.cpp';

# Exit status and output of make there; what it would do, with -n.
sub make_in
{
	my ($where, @arguments) = @_;
	delete local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES COPT)};
	my $output = `make -C $dir/$where with_llvm=no @arguments 2>&1`;
	return ($? >> 8, $output);
}

sub append_to
{
	my ($file) = @_;
	open(my $handle, '>>', $file) or die "$file: $!";
	print $handle "\n";
	close $handle;
	return;
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

($status, $output) = make_in('few', 'install', "DESTDIR=$dir/in_tree");
is($status, 0, 'two sources are built and installed') or diag($output);
($status, $output) = make_in('few', '-q', 'all');
is($status, 0, 'and are up to date') or diag($output);
($status, $output) = make_in('few', 'installed', "DESTDIR=$dir/in_tree");
is($status, 0, 'what is installed may be tested') or diag($output);
($status, $output) = make_in('build', 'install', "-f $dir/few/Makefile", "DESTDIR=$dir/out_of_tree");
is($status, 0, 'a build out of tree does not mind what was built there') or diag($output);
is(`diff -r $dir/in_tree $dir/out_of_tree 2>&1`, '', 'and installs the same, byte for byte');
($status, $output) = make_in('build', 'clean', "-f $dir/few/Makefile");
is(`find $dir/build -type f`, '', 'it cleans up behind itself');
($status) = make_in('few', '-q', 'all');
is($status, 0, 'and behind nobody else');

# What is installed, if it is not what is here
chomp(my $library = `@{[$ENV{PG_CONFIG} // 'pg_config']} --pkglibdir`);
make_path("$dir/in_tree$library/bitcode/kbilling");
make_in('few', 'install', "DESTDIR=$dir/in_tree");
ok(!-e "$dir/in_tree$library/bitcode/kbilling", 'an installation without bitcode leaves none of another one');
append_to("$dir/in_tree$library/kbilling.so");
($status, $output) = make_in('few', 'installed', "DESTDIR=$dir/in_tree");
like($output, qr/what is here is not what is installed/, 'another library is not tested');
make_in('few', 'install', "DESTDIR=$dir/in_tree");
append_to("$dir/few/sql/install/money.sql");
($status, $output) = make_in('few', 'installed', "DESTDIR=$dir/in_tree");
like($output, qr/what is here is not what is installed/, 'nor is what is older than the sources');

rename "$dir/few/src/reminder.c", "$dir/reminder.c";
($status) = make_in('few', '-q', 'kbilling.so');
is($status, 1, 'a library without one of its sources is stale');
rename "$dir/reminder.c", "$dir/few/src/reminder.c";

# A header that one of them includes, and another file that it does not know.
my $later = time + 10;
utime $later, $later, "$dir/few/src/card.h";
($status) = make_in('few', '-q', 'src/reminder.o');
is($status, 0, 'a header concerns nobody who does not include it');
($status) = make_in('few', '-q', 'src/card.o');
is($status, 1, 'but who includes it is stale');
unlink "$dir/few/src/cardlist.h";
($status) = make_in('few', '-q', 'src/reminder.o');
is($status, 0, 'a header that is gone stops nobody else');
($status) = make_in('few', '-q', 'src/reminder.o', 'CFLAGS=-O0');
is($status, 1, 'other flags make every object stale');

done_testing();
