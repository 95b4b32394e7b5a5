-- GETs the URL with $AUTHORIZATION.
wrk.headers["Authorization"] = os.getenv("AUTHORIZATION")
