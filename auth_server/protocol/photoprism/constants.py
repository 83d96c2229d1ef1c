"""Members that PhotoPrism's clients expect and that mean nothing here: photos, thumbnails, preferences.

They stand in this module and nowhere else (CONTRACT section 5).
"""

from collections.abc import Mapping
from typing import Any

NEVER = "0001-01-01T00:00:00Z"  # how PhotoPrism writes a time that nobody has set

DATA: Mapping[str, Any] = {"tokens": None, "shares": None}

USER: Mapping[str, Any] = {
    "AuthProvider": "default",
    "AuthMethod": "",
    "AuthID": "",
    "Attr": "",
    "BasePath": "",
    "UploadPath": "",
    "CanInvite": False,
    "Thumb": "",
    "ThumbSrc": "",
}

DETAILS: Mapping[str, Any] = {
    "BirthYear": -1,
    "BirthMonth": -1,
    "BirthDay": -1,
    "NameTitle": "",
    "GivenName": "",
    "MiddleName": "",
    "FamilyName": "",
    "NameSuffix": "",
    "NickName": "",
    "NameSrc": "",
    "Gender": "",
    "About": "",
    "Bio": "",
    "Location": "",
    "Country": "",
    "Phone": "",
    "SiteURL": "",
    "ProfileURL": "",
    "OrgTitle": "",
    "OrgName": "",
    "OrgEmail": "",
    "OrgPhone": "",
    "OrgURL": "",
}

# Claims of OpenID Connect Core §5.1 that have a member among the details.
DETAILS_FROM_CLAIMS: Mapping[str, str] = {
    "given_name": "GivenName",
    "middle_name": "MiddleName",
    "family_name": "FamilyName",
    "nickname": "NickName",
    "gender": "Gender",
    "website": "SiteURL",
    "profile": "ProfileURL",
}

CONFIG: Mapping[str, Any] = {
    "name": "auth-server",
    "appName": "auth-server",
    "siteTitle": "auth-server",
    "authMode": "password",
    "passwordLength": 8,
    "passwordResetUri": "",
    "registerUri": "",
    "loginUri": "",
    "previewToken": "",  # there are none, but some clients look for the members
    "downloadToken": "",
    "debug": False,
    "test": False,
    "demo": False,
    "public": False,
    "readonly": False,
    "disable": {},
    "settings": {},
    "ext": {},
}
