"""Times the authenticators of the reference project, without a server.

usage: authenticators.py CASES.json   (in the project's folder; CASES.json as seed_bench.py writes it)
Writes the versions, then for each line "SCHEME SECONDS" of standard input the nanoseconds of
processor time of one authentication, as JSON. Each authenticator is asked once before, and once with a wrong
credential."""
import importlib, json, sys, time
import django
django.setup()
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.test import RequestFactory
from rest_framework import authentication, exceptions
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
from oauth2_provider.contrib.rest_framework import OAuth2Authentication

cases = json.load(open(sys.argv[1]))
classes = {
    'token': authentication.TokenAuthentication, 'jwt': JWTAuthentication, 'jwt-stateless': JWTStatelessUserAuthentication,
    'oauth2': OAuth2Authentication, 'session': authentication.SessionAuthentication,
}
if 'knox' in cases:
    from knox.auth import TokenAuthentication
    classes['knox'] = TokenAuthentication


def request(scheme, wrong=False):
    path, header = cases[scheme]
    name, value = header.split(': ', 1)
    if wrong:
        i = len(value) * 3 // 4
        value = value[:i] + ('b' if value[i] == 'a' else 'a') + value[i + 1:]
    return RequestFactory().get(path, **{'HTTP_' + name.upper(): value})


def authenticate(scheme, http):
    """One authentication; what the middleware does for sessions is a part of it."""
    if scheme == 'session':
        http.__dict__.pop('_cached_user', None)
        sessions.process_request(http)
        users.process_request(http)
    return classes[scheme]().authenticate(Request(http))


answer = lambda request: None
sessions, users = SessionMiddleware(answer), AuthenticationMiddleware(answer)


def refused(scheme):
    try:
        return authenticate(scheme, request(scheme, wrong=True)) is None
    except exceptions.AuthenticationFailed:
        return True


def say(value):
    print(json.dumps(value), flush=True)


def version(name):
    from importlib import metadata
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


say({n: v for n, v in ((n, version(n)) for n in ('Django', 'djangorestframework', 'djangorestframework-simplejwt', 'django-oauth-toolkit', 'django-rest-knox', 'gunicorn')) if v} | {'Python': sys.version.split()[0]})
for line in sys.stdin:
    scheme, seconds = line.split()
    http = request(scheme)
    if authenticate(scheme, http) is None or not refused(scheme):
        sys.exit(scheme + ' does not authenticate')
    n, begin = 0, time.process_time_ns()
    end = begin + float(seconds) * 1e9
    while True:
        authenticate(scheme, http)
        n += 1
        now = time.process_time_ns()
        if now >= end:
            break
    say((now - begin) / n)
