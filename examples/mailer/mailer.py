#!/usr/bin/python3
"""Delivers kbilling's notices by e-mail.

Any number of these may run at once.  Delivery is at least once: if one crashes
between a mail and its acknowledgement, the notice is sent again, with the same
Message-ID.
"""

import argparse
import contextlib
import datetime
import email.utils
import hashlib
import select
import signal
import smtplib
import socket
import ssl
import sys
import time
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import psycopg2
from psycopg2.extras import NamedTupleCursor

stopping = False
wake, waker = socket.socketpair()  # wake is readable once a signal has come, so that none is missed just before a wait
sent = {}  # addresses that have a notice already which is not acknowledged yet, so that another try leaves them out
SENT_MAX = 10000


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--dsn', default='', help='the database (default: as PGHOST, PGDATABASE and the like say)')
    parser.add_argument('--smtp', type=endpoint, default='localhost:25', metavar='HOST:PORT', help='the mail server (localhost:25)')
    parser.add_argument('--starttls', action='store_true', help='encrypt, and check the mail server\'s certificate')
    parser.add_argument('--from', type=mailbox, required=True, dest='sender', metavar='ADDRESS', help='the sender of the mails')
    parser.add_argument('--application', type=mailbox, required=True, metavar='ADDRESS',
                        help='who gets notices without a recipient, such as account_purged')
    parser.add_argument('--batch', type=int, default=20, help='how many notices to take at once (20)')
    parser.add_argument('--lease', type=float, default=60, help='seconds that a batch may take (60)')
    parser.add_argument('--poll', type=float, default=60, help='seconds after which to look again, even without a notification (60)')
    parser.add_argument('--once', action='store_true', help='end when nothing is due')
    return parser.parse_args()


def endpoint(text):
    host, _, port = text.rpartition(':')
    return host.strip('[]'), int(port)


def mailbox(text):
    header = SMTP.header_factory('To', text)
    if header.defects or len(header.addresses) != 1:
        raise ValueError
    return header.addresses[0]


def stop(signum, frame):
    global stopping
    stopping = True


def say(text):
    print('mailer:', text, file=sys.stderr, flush=True)


def plain(text):
    """The text as one line of ASCII, which every database and log can hold."""
    return ' '.join(text.replace('\0', ' ').split()).encode('ascii', 'backslashreplace').decode()


def connect(options):
    conn = psycopg2.connect(options.dsn, client_encoding='UTF8', fallback_application_name='kbilling mailer')
    conn.autocommit = True  # each call commits, so that a batch is taken before it is delivered, and notices do not depend on each other
    return conn


def query(conn, statement, *values):
    with conn.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def take(conn, options):
    return query(conn, 'SELECT account_id, notice_no, kind, written_at, tries, recipients FROM kbilling.kb_take_notices(%s, %s)',
                 options.batch, datetime.timedelta(seconds=options.lease))


def render(conn, notice, language):
    return query(conn, 'SELECT subject, body FROM kbilling.kb_render_notice(%s, %s, %s)', notice.account_id, notice.notice_no, language)[0]


def recipient_address(text):
    address = Address(addr_spec=text)
    if address.addr_spec != text:
        raise ValueError('there is more than an address')
    return Address(username=address.username, domain=address.domain.encode('idna').decode())


def compose(options, notice, to, text):
    """The mail; an error if the address or subject has anything more in it, so that nobody can add headers."""
    if text.subject.splitlines() != [text.subject]:
        raise ValueError('the subject is not one line')
    # always the same for the same notice and address; the time tells apart notices of two databases with equal numbers
    digest = hashlib.sha256(f'{notice.written_at.timestamp()} {to}'.encode()).hexdigest()[:20]
    message = EmailMessage(policy=SMTP)
    message['From'] = options.sender
    message['To'] = recipient_address(to)
    message['Subject'] = text.subject
    message['Date'] = email.utils.localtime()
    message['Message-ID'] = f'<{notice.account_id}.{notice.notice_no}.{digest}@{options.sender.domain}>'
    message['Auto-Submitted'] = 'auto-generated'
    message['X-Kbilling-Notice'] = f'{notice.account_id}/{notice.notice_no} {notice.kind}'  # for programs that read them
    message.set_content(text.body, cte='quoted-printable')
    return message


class MailServer:
    """A session with the mail server, which begins with the first mail of a batch and ends with the batch."""

    def __init__(self, options):
        self.options = options
        self.session = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.session:
            with contextlib.suppress(OSError):
                self.session.quit()

    def send(self, message):
        try:
            if not self.session:
                self.session = smtplib.SMTP(*self.options.smtp, timeout=self.options.lease / 4)
                if self.options.starttls:
                    self.session.starttls(context=ssl.create_default_context())
            # not send_message, which changes "From" at the beginning of a line to ">From"
            self.session.sendmail(self.options.sender.addr_spec, message['To'].addresses[0].addr_spec, message.as_bytes())
        except Exception:
            if self.session:
                self.session.close()  # its state is not known
            self.session = None
            raise


def reason(error):
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, answer = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, answer = error.smtp_code, error.smtp_error
    else:
        return f'{type(error).__name__}: {error}'
    return f'{code} {answer.decode("ascii", "backslashreplace") if isinstance(answer, bytes) else answer}'


def deliver(conn, server, options, notice, deadline):
    """Mails a notice to all recipients who do not have it yet.  If one mail fails, the notice fails, and is tried again."""
    key = notice.account_id, notice.notice_no, notice.written_at
    has_it = sent[key] = sent.pop(key, set())
    if len(sent) > SENT_MAX:
        sent.pop(next(iter(sent)))
    texts, errors = {}, []
    for recipient in notice.recipients or [{'member': 'application', 'email': options.application.addr_spec, 'language': None}]:
        to, language = recipient['email'], recipient['language']
        if to in has_it:
            continue
        if time.monotonic() > deadline:
            return  # the lease is nearly over: the notice will be given again
        try:
            if language not in texts:
                texts[language] = render(conn, notice, language)
            server.send(compose(options, notice, to, texts[language]))
            has_it.add(to)
        except Exception as error:  # an error in one mail must not stop the others
            if conn.closed:
                raise
            errors.append(f'{recipient["member"]}: {reason(error)}')
    if errors:
        fail(conn, notice, '; '.join(errors))
    else:
        query(conn, 'SELECT kbilling.kb_ack_notice(%s, %s)', notice.account_id, notice.notice_no)
        sent.pop(key)


def fail(conn, notice, error):
    say(f'notice {notice.account_id}/{notice.notice_no}: {plain(error)}')
    query(conn, 'SELECT kbilling.kb_fail_notice(%s, %s, %s, %s)', notice.account_id, notice.notice_no, plain(error), notice.tries)


def wait(seconds, conn=None):
    """Waits for a notification or a signal, at most so many seconds."""
    if conn:
        conn.poll()
        if conn.notifies:
            return
    select.select([wake, conn] if conn else [wake], [], [], seconds)


def work(options):
    with contextlib.closing(connect(options)) as conn:
        with conn.cursor() as cursor:
            cursor.execute('LISTEN kbilling')
        while not stopping:
            conn.notifies.clear()  # before looking, so that a notification that comes meanwhile makes it look again
            deadline = time.monotonic() + options.lease * 3 / 4  # a mail begun by then should be done within the lease
            batch = take(conn, options)
            with MailServer(options) as server:
                for notice in batch:
                    if stopping or time.monotonic() > deadline:
                        break
                    deliver(conn, server, options, notice, deadline)
            if not batch:
                if options.once:
                    return
                wait(options.poll, conn)


def main():
    options = parse_options()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for signum in signal.SIGINT, signal.SIGTERM:
        signal.signal(signum, stop)
    pause = 1
    while not stopping:
        began = time.monotonic()
        try:
            work(options)
            return
        except psycopg2.Error as error:
            say(plain(str(error)))
            if options.once or not isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
                sys.exit(1)  # anything but a lost connection needs somebody
        pause = 1 if time.monotonic() - began > 60 else min(2 * pause, 60)
        wait(pause)


main()
