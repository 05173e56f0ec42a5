"""The site of ../../python as a worker of crowd.py, which says what a line is: worker.py SOCKET"""
import io
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
import sessions

site = sessions.Site(sessions.Sessions(sys.argv[1]), sessions.Cookie())
for line in sys.stdin:
    method, path, query, cookie, mode, csrf, name, password = line.rstrip("\n").split("\t")
    form = urllib.parse.urlencode({"csrf": csrf, "name": name, "password": password}).encode()
    answer = []
    body = b"".join(site({
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": str(len(form)),
        "HTTP_COOKIE": cookie, "HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_SEC_FETCH_MODE": mode,
        "wsgi.input": io.BytesIO(form), "wsgi.errors": sys.stderr,
    }, lambda status, headers: answer.extend((status, dict(headers)))))
    words = (answer[0].split()[0], answer[1].get("Set-Cookie", ""), answer[1].get("Location", ""), body.decode())
    print(*(word.replace("\t", " ").replace("\n", " ") for word in words), sep="\t", flush=True)
