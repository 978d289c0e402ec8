"""The local web console: pages made by the recorder, in any current browser, without anything from elsewhere.

Pages only read; what changes something is sent to the API by static/console.js, so there is one path for one thing.
"""
