"""The archive read through again and again, so that damage is noticed while a good copy still exists somewhere."""
