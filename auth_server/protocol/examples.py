"""Names, tokens and secrets in the document's examples: well formed, and nobody's."""

from auth_server.domain.credentials import digest, ref_id

NAME, PASSWORD, UID = "jane", "Blue-whale-42-sings", "usm4k2r8d0wq1x7b"
CAREFUL_NAME, CAREFUL_UID = "maria", "usm4k2r8d0wq1x7c"  # the same password, and a second factor
REGISTERED_ID, REGISTRATION_TOKEN = "csm4k31vnt5p9e2b", "mC8dWq2zLr0XsYb7HfKt4Gp9NuJe1VaQ6TiOw3RxZ5k"
REDIRECT_URI = "https://album.example/callback"
CLIENT_ID, CLIENT_SECRET = "csm4k31vnt5p9e2a", "0aT7hGq2LrX9sVnB4kYpZ6mCw1eJdF8uQi3oRy5tKxA"
SESSION_TOKEN = "4f1c0a9be27d5386a0d4c2f1b7e8935d60a1c8e2f4b7d913"  # jane's, after a login with her password
CLIENT_TOKEN = "0b7e1d92c4f8563ad1e0b3c7f9a2864e5d0c1b8f7a6e3924"  # the client's, by client credentials
OPENID_TOKEN = "9d2f6c41e8a70b35d6f1c2e4a9b8073f5e6d1c0a7b4f8e29"  # the client's, by which jane lets it know her
APP_PASSWORD = "Ab3dEf-Gh1jKl-Mn0pQr-St9uVA"  # jane's, named Sync
KEY, CODE = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "877905"  # of an authenticator app, and what it shows at MOMENT
MOMENT = 1_800_000_000  # Unix seconds
SESSION_ID = digest(SESSION_TOKEN).hex()
REF_ID = ref_id(digest(APP_PASSWORD))
