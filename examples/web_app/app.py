"""A web application that people sign in to, with Authlib; start.sh starts it."""

import os

from authlib.integrations.flask_client import OAuth, OAuthError
from flask import Flask, Response, redirect, render_template, session, url_for

app = Flask(__name__)
app.config.update(SECRET_KEY=os.urandom(32), SESSION_COOKIE_SAMESITE="Lax")
app.add_url_rule("/", "home", lambda: render_template("home.html", user=session.get("user")))
app.register_error_handler(OAuthError, lambda error: (render_template("home.html", problem=error.description), 400))
auth_server = OAuth(app).register(
    "auth_server",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=f"{os.environ['ISSUER']}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


@app.get("/login")
def login() -> Response:
    return auth_server.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback() -> Response:
    token = auth_server.authorize_access_token()  # checks state, ID token and nonce
    user = auth_server.userinfo(token=token)
    if user["sub"] != token["userinfo"]["sub"]:  # OIDC Core §5.3.2: both must be of one person
        raise OAuthError(description="The answers of the server contradict each other.")
    session["user"] = {**user, "id_token": token["id_token"]}
    return redirect(url_for("home"))


@app.post("/logout")
def logout() -> Response:
    return auth_server.logout_redirect(url_for("home", _external=True), session.pop("user", {}).get("id_token"))
