"""A Flask app with a login, as Flask's documentation writes it; prints the free port that it serves.

With `proxied`, it reads the forwarding headers of one proxy, as Flask's documentation tells operators.
"""

import sys

from flask import Flask, redirect, request, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

app = Flask(__name__)
app.secret_key = "of this test"


@app.get("/")
def home():
    if "user" not in session:
        return redirect(url_for("login"))
    return f"hello {session['user']}"


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["user"] = request.form["user"]
        return redirect(url_for("home", _external="external" in request.args))
    return "log in"


if "proxied" in sys.argv:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)

server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
