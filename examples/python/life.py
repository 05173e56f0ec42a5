"""A visitor's life with a WSGI site: what a browser would do, and what came of it."""
import io
import re
import sys
import urllib.parse


class Browser:
    def __init__(self, site):
        self.site, self.jar, self.csrf = site, {}, ""

    def go(self, what, method, address, cookies=None, **fields):
        """Sends a request, follows redirects, and prints who the page greets and what became of the cookie."""
        marks = []
        while True:
            status, headers, body = self.send(method, address, self.jar if cookies is None else cookies, fields)
            if status.startswith("503"):
                sys.exit("503 Service Unavailable")
            new = [value for name, value in headers if name == "Set-Cookie"]
            assert len(new) <= 1 and ("Cache-Control", "no-store") in headers
            for value in new:
                name, _, rest = value.partition("=")
                token = rest.partition(";")[0]
                marks.append("cookie set" if token else "cookie deleted")
                if cookies is None:
                    self.jar = {name: token} if token else {}
                else:
                    # A tab that was left behind: the answer's cookie goes into the same jar as all others.
                    self.jar = cookies = {name: token}
            location = dict(headers).get("Location")
            if location is None:
                break
            if "again=1" in location:
                marks.append("asked to come again")
            method, address, fields = "GET", urllib.parse.urljoin(address, location), {}
        if "send it again" in body:
            marks.append("the form again")
        self.csrf = re.search('name="csrf" value="([^"]*)"', body)[1]
        print(f"{what}: {re.search('<b>(.*)</b>', body)[1]}, {', '.join(marks) or 'cookie kept'}")

    def send(self, method, address, cookies, fields):
        path, _, query = address.partition("?")
        body = urllib.parse.urlencode(fields).encode()
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_SEC_FETCH_MODE": "navigate", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        answer = []
        body = b"".join(self.site(environ, lambda status, headers: answer.extend((status, headers))))
        return *answer, body.decode()


def live(site):
    browser = Browser(site)
    browser.go("first visit", "GET", "/")
    browser.go("second visit", "GET", "/")
    before = (dict(browser.jar), browser.csrf)
    browser.go("a forged form", "POST", "/login", csrf="forged", name="ann", password="apple")
    browser.go("login", "POST", "/login", csrf=browser.csrf, name="ann", password="apple")
    # The second click was sent with the cookie of before; so was the request of another tab.
    browser.go("second click", "POST", "/login", cookies=before[0], csrf=before[1], name="ann", password="apple")
    jar = browser.jar
    browser.go("late request", "GET", "/", cookies=before[0])
    browser.jar = jar
    browser.go("visit after login", "GET", "/")
    browser.go("logout", "POST", "/logout", csrf=browser.csrf)
    browser.go("after logout", "GET", "/")
